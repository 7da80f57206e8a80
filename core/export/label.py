"""What the reader calls a case: never the patient, only something to tell its files by."""

from __future__ import annotations

import re

from core.records import CaseReview

LONGEST = 24
_OTHER = re.compile(r"[^\w .-]|_", re.UNICODE)
_NUMBER_OF_A_PERSON = re.compile(r"\d{5}|\d{1,4}[-./]\d{1,2}[-./]\d{1,4}")


def clean_label(text: str) -> str:
    """Letters, digits, spaces, points and hyphens of what the reader wrote, at most 24.

    >>> clean_label("  Case <b>A</b>  1 "), clean_label("x" * 40) == "x" * 24
    ('Case b A b 1', True)
    """
    return " ".join(_OTHER.sub(" ", text).split())[:LONGEST].strip()


def label_refusal(text: str) -> str:
    """Why a label is not taken, in words; "" where it is: a date or a long number may be a person's.

    >>> label_refusal("Case A"), label_refusal("1954-03-02")[:22], label_refusal("MRN 1234567")[:22]
    ('', 'A label must not hold ', 'A label must not hold ')
    """
    if _NUMBER_OF_A_PERSON.search(text):
        return "A label must not hold a date or a number of five digits and more: they may be a patient's."
    return ""


def file_stem(label: str, review: CaseReview) -> str:
    """What every file of an answer is called first: label, task, model, horizon, method."""
    method = review.saliency.method if review.saliency is not None else ""
    parts = (label, review.task.name, review.fusion, f"{review.horizon_days:g}d", method)
    return "_".join(slug(part) for part in parts if part)


def slug(text: str) -> str:
    """A part of a file name: letters and digits in lower case, hyphens between them.

    >>> slug("Case A.1"), slug("co_attention_ehr_guided")
    ('case-a-1', 'co-attention-ehr-guided')
    """
    return re.sub(r"[\W_]+", "-", text, flags=re.UNICODE).strip("-").lower()
