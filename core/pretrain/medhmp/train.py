"""`pretrain --method medhmp`: stage A teaches the stay encoder, stage B goes on from its weights with admissions."""

from __future__ import annotations

import shutil

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from core.cohort.folder import CohortFolder
from core.compute.training_loop import LoopOptions, TrainingReport, finished, learn, replace_file
from core.encode.ehr.cohort import CohortRecords
from core.encode.ehr.hierarchical import Hierarchical
from core.encode.ehr.stay_features import AdmissionNumbers, fit_stay_vocabulary, read_admissions
from core.encode.encoder_card import Learned, LearnedFrom, encoder_card
from core.encode.folder import write_encoder_folder
from core.errors import UserFacingError
from core.pretrain.medhmp.lessons import Admissions, Stays
from core.pretrain.options import PretrainOptions
from core.progress import Progress
from core.records import EHR

HIDDEN = 48
EPOCHS = {"a": 15, "b": 20}
RATES = {"a": 2e-3, "b": 1e-3}
BUDGET = {"a": 0.4, "b": 0.6}
"""Shares of `--minutes`, where both stages run."""
STAGE_A, STAGE_A_WEIGHTS = "stage_a", "stage_a.safetensors"


def pretrain_medhmp(options: PretrainOptions, progress: Progress) -> tuple[str, ...]:
    """Train on the train split's records, choose weights on the tuning split, write `options.out`."""
    folder = CohortFolder(options.cohort)
    records = {split: whole_records(folder, split) for split in ("train", "tuning")}
    tables = {split: part.columns() for split, part in records.items()}
    vocabulary = fit_stay_vocabulary(tables["train"])
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        config = {"name": "hierarchical", "hidden": HIDDEN, "vocabulary": vocabulary.to_json()}
        encoder = Hierarchical(config)
    read = {
        split: [one for table in part for one in read_admissions(table, vocabulary)] for split, part in tables.items()
    }
    if not all(any(one.stays for one in part) for part in read.values()) and "a" in options.stages:
        raise UserFacingError(
            "The training or the tuning split has no hospital stay.",
            "events HOSPITAL_ADMISSION// and HOSPITAL_DISCHARGE// in both",
            "Bring a cohort with stays, or choose --stages b.",
        )
    options.out.mkdir(parents=True, exist_ok=True)
    reports = []
    for stage in options.stages:
        reports.append(_run_stage(stage, encoder, read, options, progress))
    last = reports[-1]
    virtual = bool(folder.metadata.get("virtual"))
    kind = "virtual patients" if virtual else "a cohort supplied by the user"
    card = encoder_card(
        "Record encoder from stay to admission",
        "medhmp",
        "Research: a frozen record encoder for survival models on few labels.",
        LearnedFrom(f"Training split of {kind}", virtual, len(records["train"]), len(records["tuning"])),
        Learned(
            "hours of a stay written anew, hidden codes of an admission, parts of an admission told from others'",
            sum(map(len, vocabulary.groups.values())),
            Admissions.unit if options.stages.endswith("b") else Stays.unit,
            last.best.tuning_loss,
            last.stopped,
        ),
        () if options.stages == "ab" else (f"Only stage {options.stages} was run.",),
    )
    training = {"stages": options.stages, "without": list(options.without), "seed": options.seed}
    (options.out / STAGE_A_WEIGHTS).unlink(missing_ok=True)
    write_encoder_folder(options.out, encoder, modality=EHR, method="medhmp", card=card, training=training)
    finished(options.out)
    shutil.rmtree(options.out / STAGE_A, ignore_errors=True)
    return (
        f"{len(vocabulary.series):,} codes are series; sets hold {sum(map(len, vocabulary.groups.values())):,} items.",
        f"{len(read['train']):,} admissions and times between them; tuning loss {last.best.tuning_loss:.4f}, "
        f"stopped by {last.stopped}.",
    )


def whole_records(folder: CohortFolder, split: str) -> CohortRecords:
    """Each patient of a split up to the last event."""
    splits, cohort = folder.splits, folder.events
    wanted = np.isin(cohort.subject_ids, splits.loc[splits["split"] == split, "subject_id"].to_numpy(np.int64))
    if not wanted.any():
        raise UserFacingError(f"The split {split} has no events.", "records in both splits", "Add patients.")
    last = cohort.times_us[cohort.offsets[1:] - 1][wanted]
    return CohortRecords.up_to(cohort, cohort.subject_ids[wanted], last.view("datetime64[us]"))


def _run_stage(
    stage: str,
    encoder: Hierarchical,
    read: dict[str, list[AdmissionNumbers]],
    options: PretrainOptions,
    progress: Progress,
) -> TrainingReport:
    """Stage B of both goes on from stage A's weights, bit for bit; one that was finished before is not run again."""
    without_person = "demographics" in options.without
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        lesson: Stays | Admissions
        if stage == "a":
            lesson = Stays(encoder, read["train"], read["tuning"], options.seed, without_person=without_person)
        else:
            lesson = Admissions(
                encoder,
                read["train"],
                read["tuning"],
                options.seed,
                guess="mcp" not in options.without,
                contrast="contrastive" not in options.without,
                without_person=without_person,
            )
        both = len(options.stages) > 1
        kept = options.out / STAGE_A_WEIGHTS
        folder = options.out / STAGE_A if both and stage == "a" else options.out
        loop = LoopOptions(
            epochs=options.epochs or EPOCHS[stage],
            minutes=options.minutes and options.minutes * (BUDGET[stage] if both else 1.0),
            learning_rate=RATES[stage],
            seed=options.seed,
            device=options.device,
            resume=options.resume,
        )
        report = learn(lesson, loop, folder, _named(stage, progress))
        if both and stage == "a":
            replace_file(kept, lambda path: save_file(encoder.stay.state_dict(), path))
            encoder.stay.load_state_dict(load_file(kept))
        return report


def _named(stage: str, progress: Progress) -> Progress:
    return lambda share, words: progress(share, f"stage {stage.upper()}: {words}")
