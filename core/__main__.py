"""The command line: `python -m core COMMAND --help`.

Exit codes: 0 done, 2 bad input or state (one line on standard error). Set CT_SURVIVAL_DEBUG=1 for the traceback.
Research use only. Not a medical device.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from core import RESEARCH_NOTICE
from core.arguments import (
    Parser,
    add_command,
    add_device,
    as_count,
    as_number,
    as_parts,
    as_path,
    as_whole,
    check_folder,
    fail,
    show_progress,
)
from core.errors import UserFacingError
from core.learning_commands import add_learning_commands

if TYPE_CHECKING:
    from pathlib import Path

    from core.records import CtStudy, Timeline
    from core.records.ecg import Ecg

FUSION_NAMES = (
    "cross_attention",
    "co_attention_ehr_guided",
    "co_attention_image_guided",
    "contrastive",
    "concat",
    "bimodal",
    "image_only",
    "ehr_only",
)
METHOD_NAMES = ("gradcam", "gradcam_averaged", "integrated_gradients", "gradient_shap", "smoothgrad", "occlusion")
REGIMES = ("balanced", "image_dominant", "ehr_dominant", "interaction", "ehr_selects_region")
REPAIR_NAMES = (
    "leave_out_unreadable",
    "largest_group",
    "first_of_repeats",
    "longest_run",
    "resample_evenly",
    "straighten_tilt",
    "use_sform",
    "use_qform",
    "convert_units",
)
TASKS = ("pe_mortality", "mace", "mace_ecg")
HEAD_NAMES = ("piecewise", "cox", "weibull")
SCAN_WORDS = "CT: folder, DICOM file, .nii(.gz), .zip or .tar(.gz)"
RECORD_WORDS = "record: MEDS parquet, OMOP tables, a FHIR bundle, .csv or JSON lines; a file, folder or .zip"
RECORD_ENCODER_NAMES = ("one_hot", "compact_sequence", "concepts", "medm2t")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = build_parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], None] = options.run
    try:
        command(options)
    except UserFacingError as error:
        return fail(str(error))
    except KeyboardInterrupt:
        return fail("Stopped.")
    except Exception as error:  # the reader of a malformed file may raise anything; a person gets one line
        if os.environ.get("CT_SURVIVAL_DEBUG"):
            raise
        return fail(_one_line(options.command, error))
    return 0


def build_parser() -> argparse.ArgumentParser:
    """All commands and options."""
    parser = Parser(prog="python -m core", description=f"CT and record to survival. {RESEARCH_NOTICE}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_simulate(commands)
    _add_train(commands)
    _add_predict(commands)
    _add_evaluate(commands)
    _add_review(commands)
    _add_deidentify(commands)
    add_learning_commands(commands)
    return parser


def _add_simulate(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(commands, "simulate", "write a virtual cohort with its truth beside it")
    parser.add_argument("--out", type=as_path, required=True, help="folder to write: cohort/, truth.parquet, masks/")
    parser.add_argument("--patients", type=as_count, required=True, help="number of patients")
    parser.add_argument("--task", choices=TASKS, default="pe_mortality")
    parser.add_argument("--regime", choices=REGIMES, default="balanced", help="which input holds the signal")
    parser.add_argument("--site", choices=("internal", "external"), default="internal")
    parser.add_argument("--seed", type=as_whole, default=0)
    words = "what the record holds beside that: future (codes after the CT), stays (in hospital), ecg; with commas"
    parser.add_argument("--with", dest="parts", type=as_parts, default=(), metavar="PARTS", help=words)
    parser.set_defaults(run=_simulate)


def _add_train(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(commands, "train", "train a fusion model on a cohort folder")
    parser.add_argument("--cohort", type=as_path, required=True, help="cohort folder (docs/data-model.md)")
    parser.add_argument("--task", required=True, help="name of a label file of the cohort, without .parquet")
    parser.add_argument("--fusion", required=True, choices=FUSION_NAMES, help="how CT and record are put together")
    words = "shipped weights, pretrained on virtual patients, or a bundle or encoder folder; default: %(default)s"
    parser.add_argument("--ct-encoder", default="compact_slices", help=words)
    words = (
        f"{', '.join(RECORD_ENCODER_NAMES)}: fitted on the training split; or an encoder folder; default: %(default)s"
    )
    parser.add_argument("--ehr-encoder", default="compact_sequence", help=words)
    words = "form of the hazard over time; default: %(default)s"
    parser.add_argument("--head", default="piecewise", choices=HEAD_NAMES, help=words)
    parser.add_argument("--fine-tune-ct", action="store_true", help="train the CT encoder too; kept only if it helps")
    words = "of each of five members; default: until tuning patients no longer profit"
    parser.add_argument("--epochs", type=as_count, default=None, help=words)
    words = "trainings on all but one fold of patients, for the range around curves; 0: no range; default: %(default)s"
    parser.add_argument("--folds", type=as_whole, default=5, help=words)
    parser.add_argument("--seed", type=as_whole, default=0, help="of weights and order; default: %(default)s")
    add_device(parser)
    parser.add_argument("--out", type=as_path, required=True, help="bundle folder to write")
    parser.set_defaults(run=_train)


def _add_predict(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(commands, "predict", "score the patients of a cohort folder")
    parser.add_argument("--cohort", type=as_path, required=True, help="cohort folder with the bundle's task")
    parser.add_argument("--bundle", type=as_path, required=True, help="folder that train wrote, or a shipped one")
    words = "patients to score; default: %(default)s"
    parser.add_argument("--split", default="held_out", choices=("train", "tuning", "held_out"), help=words)
    add_device(parser)
    parser.add_argument("--out", type=as_path, required=True, help="predictions.parquet to write")
    parser.set_defaults(run=_predict)


def _add_evaluate(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(commands, "evaluate", "concordance, calibration and paired differences of predictions")
    parser.add_argument("--predictions", type=as_path, nargs="+", required=True)
    parser.add_argument("--reference", type=as_path, default=None, help="predictions that the others are compared with")
    words = "the model that made the (only) predictions, of held-out patients: its card then tells the result"
    parser.add_argument("--bundle", type=as_path, default=None, help=words)
    parser.add_argument("--out", type=as_path, required=True, help="folder for report.json and report.html")
    parser.set_defaults(run=_evaluate)


def _add_review(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(commands, "review", "review one case: curve, figure, saliency, provenance")
    parser.add_argument("--study", type=as_path, default=None, help=SCAN_WORDS)
    parser.add_argument("--timeline", type=as_path, default=None, help=RECORD_WORDS)
    words = "ECG of the patient, for a model that reads one: a WFDB record or a DICOM ECG"
    parser.add_argument("--signals", type=as_path, default=None, help=words)
    parser.add_argument("--bundle", type=as_path, required=True)
    parser.add_argument("--out", type=as_path, required=True, help="folder to write")
    parser.add_argument("--horizon-days", type=as_number, default=None, help="default: the task's middle horizon")
    parser.add_argument("--explain", default="gradcam", choices=(*METHOD_NAMES, "none"))
    parser.add_argument("--prediction-time", default=None, help="ISO time; default: the end of the record")
    parser.add_argument(
        "--subject-id", type=as_whole, default=None, help="needed where the file holds several patients"
    )
    parser.add_argument("--series", type=as_count, default=None, metavar="N", help="which of several CT series, from 1")
    words = "lifts the refusal that names it; may be given several times"
    parser.add_argument("--repair", choices=REPAIR_NAMES, action="append", default=[], help=words)
    words = "what columns of a table mean, and dates=, decimals= or encoding=; a role without a column has none"
    parser.add_argument("--columns", nargs="+", default=[], metavar="ROLE=COLUMN", help=words)
    parser.add_argument("--window", type=as_whole, nargs=2, metavar=("LOW", "HIGH"), default=None, help="HU")
    parser.add_argument("--slice", type=as_whole, default=None, help="axial slice of the figure; default: most salient")
    words = (
        "strip: what a search of the files, the record and the pictures finds, and texts with words that no vocabulary"
    )
    words += " knows (default; needs the text reader); strip-found: only what it finds; keep: nothing, so that exports"
    words += " show what the record says"
    parser.add_argument("--identifiers", choices=("strip", "strip-found", "keep"), default="strip", help=words)
    add_device(parser)
    parser.set_defaults(run=_review)


def _add_deidentify(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(commands, "deidentify", "write copies of DICOM and NIfTI files without identifiers")
    parser.add_argument("source", metavar="IN", type=as_path, help="folder, file or archive")
    parser.add_argument("out", metavar="OUT", type=as_path, help="new or empty folder, not inside IN")
    parser.add_argument(
        "--key-file", type=as_path, default=None, help="secret that makes runs agree; default: a new one"
    )
    parser.set_defaults(run=_deidentify)


def _simulate(options: argparse.Namespace) -> None:
    check_folder(options.out)
    from core.virtual.simulate import simulate_cohort

    simulate_cohort(
        options.out,
        patients=options.patients,
        task=options.task,
        regime=options.regime,
        site=options.site,
        seed=options.seed,
        progress=show_progress,
        parts=options.parts,
    )
    print(f"{options.patients} virtual patients written")


def _train(options: argparse.Namespace) -> None:
    from core.train.fit import train_bundle

    if (options.out / "config.json").exists():
        raise UserFacingError("There is a model at --out already.", "a new folder", "Name another, or delete that one.")
    check_folder(options.out)
    written = train_bundle(
        options.cohort,
        options.task,
        options.fusion,
        options.out,
        ct_encoder=options.ct_encoder,
        ehr_encoder=options.ehr_encoder,
        head=options.head,
        fine_tune_ct=options.fine_tune_ct,
        epochs=options.epochs,
        folds=options.folds,
        seed=options.seed,
        device=options.device,
        progress=show_progress,
    )
    card = json.loads((written / "card.json").read_text("utf-8"))
    of, (row, *_) = card["training_data"], card["performance"]
    value = "not defined" if row["value"] is None else f"{row['value']:.3f}"
    print(f"Trained on {of['patients_train']:,} patients, {of['events_train']:,} with the event.")
    print(f"{row['measure']}: {value}, {row['patients']:,} tuning patients.")
    for caveat in (*card["limitations"], *card["caveats"]):
        print(f"- {caveat}")
    print(f"bundle written. {RESEARCH_NOTICE}")


def _predict(options: argparse.Namespace) -> None:
    if options.out.is_dir():
        raise UserFacingError("A folder is named by --out.", "the name of a parquet file", "Add a name to it.")
    check_folder(options.out.parent)
    from core.train.predict import predict_cohort

    table = predict_cohort(options.cohort, options.bundle, options.out, split=options.split, device=options.device)
    print(f"{len(table)} patients scored. {RESEARCH_NOTICE}")


def _evaluate(options: argparse.Namespace) -> None:
    check_folder(options.out)
    from core.benchmark.evaluate import evaluate, evaluate_bundle

    if options.bundle is None:
        evaluate(options.predictions, options.reference, options.out)
    else:
        evaluate_bundle(options.bundle, options.predictions, options.out)


def _review(options: argparse.Namespace) -> None:
    if options.study is None and options.timeline is None:
        raise UserFacingError("Nothing to review was named.", "--study, --timeline or both", "Name a CT or a record.")
    check_folder(options.out)
    from core.bundle import load_bundle
    from core.case.from_paths import answers_in, named_record, named_study
    from core.explain.ledger import modality_ledger
    from core.export import export_review
    from core.records import MODALITIES
    from core.review import assess_case, encode_case, review_case

    bundle, columns = load_bundle(options.bundle), answers_in(options.columns)
    study = None if options.study is None else named_study(options.study, options.series, options.repair)
    timeline = None
    if options.timeline is not None:
        timeline = named_record(options.timeline, options.prediction_time, options.subject_id, columns)
    searched = "Identifiers were not searched for."
    if options.identifiers != "keep":
        study, timeline, searched = _stripped(options, study, timeline, columns)
    explain = None if options.explain == "none" else options.explain
    how = {"horizon_days": options.horizon_days, "explain": explain, "device": options.device}
    signals = _signals(options.signals)
    encoding = encode_case(study, timeline, bundle, options.device, signals=signals)
    report = assess_case(study, timeline, bundle, encoding)
    how |= {"signals": signals, "encoding": encoding, "report": report}
    review = review_case(study, timeline, bundle, put_together=True, **how)
    window = None if options.window is None else tuple(options.window)
    shown = {"window": window, "slice_k": options.slice, "report": report, "searched": searched}
    written = export_review(study, timeline, review, bundle, options.out, **shown)
    for notice in review.notices:
        print(f"{notice.level}: {notice.text}")
    print(f"risk by {review.horizon_days:g} days: {review.curve.risk_at(review.horizon_days):.3f}")
    if len(bundle.model.reads) > 2:
        with bundle.lock:
            rows = modality_ledger(bundle.model, encoding.batch(), review.horizon_days)
        for row in rows:
            word = MODALITIES[row.modality].word
            print(
                f"without the {word}: "
                + ("it was not there" if row.risk_without is None else f"{row.risk_without:.3f}")
            )
    print(f"{len(written)} files written. {RESEARCH_NOTICE}")


def _signals(path: Path | None) -> tuple[Ecg, ...]:
    if path is None:
        return ()
    from core.intake.signals.load import load_ecg

    ecg = load_ecg(path)
    for note in ecg.notes:
        print(f"ECG: {note}")
    return (ecg,)


def _stripped(
    options: argparse.Namespace, study: CtStudy | None, timeline: Timeline | None, columns: dict[str, str] | None
) -> tuple[CtStudy | None, Timeline | None, str]:
    """The case without what a search of its files, its record and its pictures finds; how much that was, in words."""
    from core.case.search import search
    from core.case.strip import strip
    from core.wording import count_of

    print("Searching the files, the record and the pictures for identifiers ...", flush=True)
    named = [source for source in (options.study, options.timeline) if source is not None]
    found = search(named, study, lambda share, words: None, timeline, columns)
    places, texts = count_of(len(found.findings), "place"), count_of(len(found.boxes), "place")
    said = f"Identifiers: {places} may identify a person and go no further; text blanked in pixels: {texts}."
    print(said)
    keeps = options.identifiers == "strip-found"
    return *strip(study, timeline, found.boxes, found.words, found.columns, keeps_unknown=keeps), said


def _deidentify(options: argparse.Namespace) -> None:
    from core.intake.identifiers.clean.pseudonyms import read_key
    from core.intake.identifiers.deidentify import deidentify

    pseudonyms = read_key(options.key_file)
    report = deidentify(options.source, options.out, pseudonyms=pseudonyms, progress=show_progress)
    print("\n".join(report.lines()))


def _one_line(command: str, error: Exception) -> str:
    """Words for an error that no stage foresaw; it never repeats the error's text, which may hold what a file says."""
    if isinstance(error, FileNotFoundError):
        found = "A file or folder that was named does not exist."
    elif isinstance(error, OSError):
        found = "A file or folder could not be read or written."
    elif isinstance(error, MemoryError):
        found = "The memory of this machine is too small for this input."
    else:
        found = f"The command {command} could not use its input."
    return f"{found} Expected: readable input as `--help` describes. Set CT_SURVIVAL_DEBUG=1 to see the details."


if __name__ == "__main__":
    sys.exit(main())
