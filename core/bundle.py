"""Model bundles: a folder that holds a model, what it was trained on, and the card without which it does not predict.

config.json, weights.safetensors, card.json, baseline.parquet, reference.parquet, metrics.json, and manifest.json with
the SHA-256 of each of them; outcomes.parquet where training kept it, maps.json where its maps were measured. Loading
checks hashes, card schema, names, shapes and finiteness; nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from core.bundle_format import upgraded
from core.cards import ASSETS, check_card
from core.compute.model_lock import MODEL_LOCK
from core.compute.usual_mode import usual_mode
from core.encode import build_encoder
from core.encode.shared import read_shared, write_shared
from core.errors import UserFacingError
from core.explain.map_trust import MapTrust
from core.fuse import TokenSet, batch_rows
from core.records import Task, is_supported
from core.records.interfaces import Encoder
from core.sealed_folder import MANIFEST, FolderKind, open_sealed, read_json, seal
from core.survive import kaplan_meier
from core.survive.given_risk import ReferenceOutcomes
from core.survive.model import ModelOutput, SurvivalModel, build_model

FORMAT_VERSION, READ_VERSIONS = 3, (1, 2, 3)
"""Format 3 may name an encoder that it shares with other bundles by digest; its reference table is in float16."""
FILES = ("config.json", "weights.safetensors", "card.json", "baseline.parquet", "reference.parquet", "metrics.json")
OPTIONAL_FILES = ("outcomes.parquet", "maps.json")
BASELINE_COLUMNS = ("time_days", "survival", "lower", "upper", "at_risk")
BASELINE_ROWS = 400
CARD_SCHEMA = "card.schema.json"
_AGAIN = "Choose another model, or put the unchanged bundle folder in its place."
KIND = FolderKind("model bundle", "model's", FILES, OPTIONAL_FILES, _AGAIN)


@dataclass(frozen=True, eq=False)
class Bundle:
    """A loaded model with everything that must be shown beside its answers.

    model and encoders are in evaluation mode on the CPU with gradients off. encoders: of each modality that the fusion
    reads. baseline: training Kaplan-Meier (time_days, survival, lower, upper, at_risk). reference: one
    row a training patient (`reference_table`; older bundles lack mean tokens). outcomes: what happened to training and
    tuning patients beside the risk each was given unseen, for the range around a curve. maps: how large its maps are
    and whether they hang on the weights. (Either may be missing.) digest: SHA-256 of the manifest, which fixes every
    file. virtual: trained on virtual patients. Every use of model or encoders holds `lock`.
    """

    path: Path
    task: Task
    fusion: str
    model: SurvivalModel
    encoders: Mapping[str, Encoder]
    card: dict[str, Any]
    config: dict[str, Any]
    baseline: pd.DataFrame
    reference: pd.DataFrame
    metrics: dict[str, Any]
    outcomes: ReferenceOutcomes | None
    maps: MapTrust | None
    digest: str
    virtual: bool
    lock: AbstractContextManager[Any] = field(default=MODEL_LOCK)


def shipped_bundles() -> dict[str, Path]:
    """The bundles in assets/bundles: "<task>/<fusion>" -> folder, in alphabetical order."""
    root = ASSETS / "bundles"
    return {
        f"{path.parent.parent.name}/{path.parent.name}": path.parent for path in sorted(root.glob("*/*/config.json"))
    }


def describe_bundle(path: Path) -> tuple[Task, str, str]:
    """(task, fusion, SHA-256 of the manifest) as a bundle folder states them; nothing is verified.

    Raises UserFacingError where it does not state them, or no bundle could be loaded from what is there.
    """
    try:
        config, manifest = (
            read_json((path / "config.json").read_bytes(), "config.json", KIND),
            (path / MANIFEST).read_bytes(),
        )
        return task_from_config(config), str(config["model"]["fusion"]), hashlib.sha256(manifest).hexdigest()
    except (OSError, KeyError, TypeError) as error:
        raise UserFacingError(
            "The model bundle is incomplete.", "a bundle that train wrote", "Train it again."
        ) from error


@usual_mode()
def load_bundle(path: Path | str) -> Bundle:
    """Open and verify a bundle folder.

    Raises `UserFacingError` where a file is missing, changed or damaged, the card does not satisfy its schema, weights
    do not fit the configuration or are not finite, or the bundle was written by a later version.
    """
    folder = Path(path)
    sealed = open_sealed(folder, KIND)
    contents = sealed.contents
    card = read_json(contents["card.json"], "card.json", KIND)
    check_card(card, CARD_SCHEMA, "model", _AGAIN)
    config = read_json(contents["config.json"], "config.json", KIND)
    if config.get("format_version") not in READ_VERSIONS:
        expected = f"format version {FORMAT_VERSION} or an earlier one"
        raise UserFacingError("The bundle has another format version.", expected, _AGAIN)
    config, model, encoders = _modules(config, contents["weights.safetensors"])
    baseline = _table(contents["baseline.parquet"], "baseline.parquet", BASELINE_COLUMNS)
    columns = ("embedding_0", "time_to_event_days", "event", "risk")
    return Bundle(
        path=folder,
        task=task_from_config(config),
        fusion=str(config["model"]["fusion"]),
        model=model,
        encoders=encoders,
        card=card,
        config=config,
        baseline=baseline,
        reference=_table(contents["reference.parquet"], "reference.parquet", columns),
        metrics=read_json(contents["metrics.json"], "metrics.json", KIND),
        outcomes=_outcomes(contents),
        maps=_maps(contents),
        digest=sealed.digest,
        virtual=bool(card["training_data"]["virtual"]),
    )


def save_bundle(
    path: Path | str,
    *,
    model: SurvivalModel,
    task: Task,
    train: TokenSet,
    card: Mapping[str, Any],
    metrics: Mapping[str, Any],
    encoders: Mapping[str, Encoder],
    full_precision: Collection[str] = (),
    shared: Collection[str] = (),
    training: Mapping[str, Any] | None = None,
    outcomes: ReferenceOutcomes | None = None,
) -> Path:
    """Write a bundle folder and return it. encoders: by modality; one the fusion does not read is left out.

    train: encoded training patients, for baseline and reference. training: how it was trained, kept in config.json.
    outcomes: of `core.train.cross_fit`, for the range around a curve.
    Encoders are stored as float16, but those of the modalities in `full_precision`; a value that float16 changes raises
    ValueError, so that the stored encoder gives the very tokens the model was trained on (round it before encoding).
    shared: modalities whose encoder goes to assets/encoders instead, once for all bundles that ship with it.
    """
    check_card(card, CARD_SCHEMA, "model", _AGAIN)
    read = {name: encoders[name] for name in model.reads if name in encoders}
    config: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "task": asdict(task),
        "model": model.config,
        "encoders": {name: encoder.config for name, encoder in read.items()},
        "training": dict(training or {}),
    }
    tensors, digests = _named(model, "model", half=False), {}
    for name, encoder in read.items():
        half = name not in full_precision
        if name in shared:
            digests[name] = write_shared(_named(encoder, "", half=half))
        else:
            tensors |= _named(encoder, f"encoders.{name}", half=half)
    config["shared_encoders"] = digests
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").unlink(missing_ok=True)
    (folder / "weights.safetensors").write_bytes(save_tensors(tensors))
    for name, data in {"config.json": config, "card.json": card, "metrics.json": metrics}.items():
        (folder / name).write_text(json.dumps(data, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    baseline_table(train).to_parquet(folder / "baseline.parquet", index=False)
    reference_table(model, train, task).to_parquet(folder / "reference.parquet", index=False)
    for name in OPTIONAL_FILES:
        (folder / name).unlink(missing_ok=True)
    if outcomes is not None:
        outcomes.to_table().to_parquet(folder / "outcomes.parquet", index=False)
    seal(folder, (*FILES, *OPTIONAL_FILES))
    return folder


def amend_bundle(
    path: Path | str,
    *,
    metrics: Mapping[str, Any] | None = None,
    outcomes: ReferenceOutcomes | None = None,
    maps: MapTrust | None = None,
) -> Path:
    """Put an evaluation report, outcomes, or what was measured of its maps, into a bundle that is there; its digest
    changes, all else stays.

    Raises UserFacingError where the bundle is not whole.
    """
    folder = Path(path)
    open_sealed(folder, KIND)
    if metrics is not None:
        text = json.dumps(metrics, indent=1, allow_nan=False) + "\n"
        (folder / "metrics.json").write_text(text, encoding="utf-8")
    if outcomes is not None:
        outcomes.to_table().to_parquet(folder / "outcomes.parquet", index=False)
    if maps is not None:
        (folder / "maps.json").write_text(json.dumps(maps.to_json(), allow_nan=False) + "\n", encoding="utf-8")
    seal(folder, (*FILES, *OPTIONAL_FILES))
    return folder


def weights_digest(path: Path | str) -> str:
    """SHA-256 of a bundle's weights, which no evaluation changes: what a table of predictions is known by."""
    return hashlib.sha256((Path(path) / "weights.safetensors").read_bytes()).hexdigest()


def baseline_table(train: TokenSet) -> pd.DataFrame:
    """Training Kaplan-Meier with its 95% interval and numbers at risk, thinned to at most 400 rows."""
    curve = kaplan_meier(train.times.numpy(), train.events.numpy())
    rows = np.unique(np.linspace(0, len(curve.times_days) - 1, BASELINE_ROWS).astype(int))
    return pd.DataFrame(
        {
            "time_days": curve.times_days[rows],
            "survival": curve.survival[rows],
            "lower": curve.lower[rows],
            "upper": curve.upper[rows],
            "at_risk": curve.at_risk(curve.times_days[rows]),
        }
    )


def reference_table(model: SurvivalModel, train: TokenSet, task: Task) -> pd.DataFrame:
    """One row a training patient, without an identifier: embedding, outcome, risk at the longest supported horizon, and
    of each input that the model reads the mean token (columns image_0.. and ehr_0.., NaN without any token). Embedding
    and tokens are float16.
    """
    embeddings, risks = [], []
    horizon = longest_horizon(model, task)
    with torch.no_grad():
        for rows in batch_rows(len(train)):
            output: ModelOutput = model(train.batch(rows))
            embeddings.append(output.embedding)
            risks.append(output.risk(horizon))
    means = {name: train[name].means().numpy().astype(np.float16) for name in model.reads}
    parts = {"embedding": torch.cat(embeddings).numpy().astype(np.float16), **means}
    table = pd.concat([pd.DataFrame(values).add_prefix(f"{name}_") for name, values in parts.items()], axis=1)
    outcome = {"time_to_event_days": train.times.numpy(), "event": train.events.numpy().astype(bool)}
    return table.assign(**outcome, risk=torch.cat(risks).numpy())


def longest_horizon(model: SurvivalModel, task: Task) -> float:
    """The task's longest horizon that training follow-up supports, else the last supported time (days)."""
    last = model.last_supported_days
    return float(max((days for days in task.horizons_days if is_supported(days, last)), default=last))


def task_from_config(config: Mapping[str, Any]) -> Task:
    """The task card kept in config.json. Raises UserFacingError where it is incomplete."""
    try:
        low, high = config["task"]["hu_window"]
        horizons = tuple(int(days) for days in config["task"]["horizons_days"])
        return Task(**{**config["task"], "hu_window": (int(low), int(high)), "horizons_days": horizons})
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserFacingError("The bundle's task is incomplete.", "a task card in config.json", _AGAIN) from error


def _modules(config: dict[str, Any], weights: bytes) -> tuple[dict[str, Any], SurvivalModel, dict[str, Encoder]]:
    """Configuration of today's format, model and encoders with their weights."""
    try:
        config, tensors = upgraded(config, load_tensors(weights))
        for name, digest in config.get("shared_encoders", {}).items():
            tensors |= {f"encoders.{name}.{key}": value for key, value in read_shared(str(digest)).items()}
        with torch.random.fork_rng(devices=[]):
            model = build_model(config["model"])
            encoders = {name: build_encoder(name, given) for name, given in config["encoders"].items()}
        parts: dict[str, nn.Module] = {"model": model}
        parts |= {f"encoders.{name}": encoder for name, encoder in encoders.items()}
        if any(not name.startswith(tuple(f"{part}." for part in parts)) for name in tensors):
            raise RuntimeError("weights of unknown parts")
        for name, part in parts.items():
            _load_part(part, name, tensors)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise UserFacingError(
            "The bundle's weights do not fit its configuration.", "weights and configuration of one model", _AGAIN
        ) from error
    return config, model, encoders


def _load_part(part: nn.Module, name: str, tensors: Mapping[str, Tensor]) -> None:
    own = {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
    wanted = part.state_dict()
    state = {key: value.to(wanted[key].dtype) if key in wanted else value for key, value in own.items()}
    if not all(bool(torch.isfinite(value).all()) for value in state.values() if value.is_floating_point()):
        raise UserFacingError("The bundle holds weights that are not finite numbers.", "finite weights", _AGAIN)
    part.load_state_dict(state, strict=True)
    part.eval().requires_grad_(False)


def _named(module: nn.Module, prefix: str, *, half: bool) -> dict[str, Tensor]:
    named = {}
    for name, value in module.state_dict().items():
        kept = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        if not bool(torch.isfinite(kept).all()):
            raise ValueError(f"{prefix}.{name} is not finite")
        if half and kept.is_floating_point():
            if not torch.equal(kept.half().to(kept.dtype), kept):
                raise ValueError(f"{prefix}.{name} is not exact in float16; round the encoder before encoding with it")
            kept = kept.half()
        named[f"{prefix}.{name}" if prefix else name] = kept
    return named


def _outcomes(contents: Mapping[str, bytes]) -> ReferenceOutcomes | None:
    if "outcomes.parquet" not in contents:
        return None
    table = _table(contents["outcomes.parquet"], "outcomes.parquet", ("time_to_event_days", "event"))
    return ReferenceOutcomes.from_table(table)


def _maps(contents: Mapping[str, bytes]) -> MapTrust | None:
    if "maps.json" not in contents:
        return None
    try:
        return MapTrust.from_json(read_json(contents["maps.json"], "maps.json", KIND))
    except (KeyError, TypeError, ValueError) as error:
        raise UserFacingError(
            "The bundle's file maps.json cannot be read.", "what a measurement wrote", _AGAIN
        ) from error


def _table(data: bytes, name: str, columns: tuple[str, ...]) -> pd.DataFrame:
    try:
        table = pd.read_parquet(io.BytesIO(data))
    except (OSError, ValueError) as error:
        raise UserFacingError(f"The bundle's file {name} cannot be read.", "a parquet table", _AGAIN) from error
    missing = [column for column in columns if column not in table.columns]
    if missing or not len(table):
        raise UserFacingError(f"The bundle's file {name} is incomplete.", f"columns {', '.join(columns)}", _AGAIN)
    return table
