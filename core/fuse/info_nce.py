"""The contrastive step: bring a patient's image and record embeddings together."""

from __future__ import annotations

import torch
from torch import Tensor

TEMPERATURE = 0.1


def info_nce(image: Tensor, ehr: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Symmetric InfoNCE of N pairs (N, H): a sum of both directions, without the factor 1/2 (arXiv 2606.15038).

    S_jk = cos(image_j, ehr_k) / temperature; -(1/N) sum_j [log softmax_row(S)_jj + log softmax_column(S)_jj].
    Equals 2 log N where all similarities are the same and 0 for N = 1.
    """
    similarity = torch.nn.functional.normalize(image, dim=1) @ torch.nn.functional.normalize(ehr, dim=1).T / temperature
    target = torch.arange(len(similarity), device=similarity.device)
    rows = torch.nn.functional.cross_entropy(similarity, target)
    return rows + torch.nn.functional.cross_entropy(similarity.T, target)
