"""The commands around learning: `cohort`, `pretrain`, and `probe` and `foresee`, which ask what was learned."""

from __future__ import annotations

import argparse

from core import RESEARCH_NOTICE
from core.arguments import (
    Parser,
    add_command,
    add_device,
    as_count,
    as_number,
    as_path,
    as_whole,
    check_folder,
    show_progress,
)
from core.errors import UserFacingError

PRETRAIN_NAMES: tuple[str, ...] = ("tte", "medhmp", "events")
"""Of `core.pretrain.methods.PRETRAIN_METHODS`, which imports more than a parser should wait for."""
STAGES = ("a", "b", "ab")
ARM_NAMES = ("frozen", "random", "scratch")
"""Of `core.benchmark.probe.ARMS`."""
PROBED = ("image", "ehr")
COHORT_LABELS = ("death", "readmission")
"""Of `core.cohort.from_events.LABELS`."""


def add_learning_commands(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add them to the parser."""
    _add_cohort(commands)
    _add_pretrain(commands)
    _add_probe(commands)
    _add_foresee(commands)


def _add_cohort(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(commands, "cohort", "make a cohort folder from a MEDS file, with splits and labels")
    parser.add_argument("--events", type=as_path, required=True, help="MEDS parquet file, or a folder of them")
    parser.add_argument("--codes", type=as_path, default=None, help="MEDS codes.parquet of these events")
    words = "what is to be foretold at each discharge from hospital"
    parser.add_argument("--label", required=True, choices=COHORT_LABELS, help=words)
    parser.add_argument("--within-days", type=as_count, required=True)
    parser.add_argument("--seed", type=as_whole, default=0, help="of the splits; default: %(default)s")
    parser.add_argument("--out", type=as_path, required=True, help="cohort folder to write")
    parser.set_defaults(run=_cohort)


def _cohort(options: argparse.Namespace) -> None:
    if options.out.exists():
        raise UserFacingError("There is something at --out already.", "a new folder", "Name another, or delete that.")
    check_folder(options.out)
    from core.cohort.from_events import cohort_from_events

    how = {"codes": options.codes, "seed": options.seed}
    for sentence in cohort_from_events(options.events, options.label, options.within_days, options.out, **how):
        print(sentence)


def _add_pretrain(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(commands, "pretrain", "learn an encoder from the train split of a cohort folder")
    parser.add_argument("--cohort", type=as_path, required=True, help="cohort folder (docs/data-model.md)")
    parser.add_argument("--method", required=True, choices=PRETRAIN_NAMES, help="what is learned")
    parser.add_argument("--out", type=as_path, required=True, help="encoder folder to write")
    parser.add_argument("--task", default=None, help="task whose outcome a method learns from, where it does")
    parser.add_argument("--backbone", default=None, help="network or size by name; default: the method's own")
    parser.add_argument("--tasks", type=as_count, default=1024, help="future codes to learn; default: %(default)s")
    parser.add_argument("--pieces", type=as_count, default=8, help="pieces of time; default: %(default)s")
    words = "file with a code a line: left out of the tasks, with all codes below them"
    parser.add_argument("--exclude-codes", type=as_path, default=None, metavar="FILE", help=words)
    parser.add_argument("--stages", choices=STAGES, default="ab", help="of hierarchical pretraining")
    words = "a part to leave out, for comparison: contrastive, mcp or demographics"
    choices = ("contrastive", "mcp", "demographics")
    parser.add_argument("--without", choices=choices, action="append", default=[], help=words)
    words = "rounds through the training patients, at most; default: the method's own"
    parser.add_argument("--epochs", type=as_count, default=None, help=words)
    words = "a budget of time: stops cleanly with the best weights so far"
    parser.add_argument("--minutes", type=as_number, default=None, help=words)
    parser.add_argument("--seed", type=as_whole, default=0)
    add_device(parser)
    parser.add_argument("--resume", action="store_true", help="go on where a run into --out was stopped")
    parser.set_defaults(run=_pretrain)


def _pretrain(options: argparse.Namespace) -> None:
    check_folder(options.out)
    from core.pretrain.methods import pretrain
    from core.pretrain.options import PretrainOptions

    asked = PretrainOptions(
        cohort=options.cohort,
        out=options.out,
        task=options.task,
        backbone=options.backbone,
        tasks=options.tasks,
        pieces=options.pieces,
        exclude_codes=options.exclude_codes,
        stages=options.stages,
        without=tuple(options.without),
        epochs=options.epochs,
        minutes=options.minutes,
        seed=options.seed,
        device=options.device,
        resume=options.resume,
    )
    for sentence in pretrain(options.method, asked, show_progress):
        print(sentence)
    print(f"encoder written. {RESEARCH_NOTICE}")


def _add_probe(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(commands, "probe", "score a frozen encoder with linear probes on few labels")
    parser.add_argument("--cohort", type=as_path, required=True, help="cohort folder (docs/data-model.md)")
    parser.add_argument("--task", required=True, help="name of a label file of the cohort, without .parquet")
    words = "encoder folder, bundle folder, or a name that train knows"
    parser.add_argument("--encoder", required=True, help=words)
    parser.add_argument("--modality", required=True, choices=PROBED, help="what the encoder reads")
    words = "training patients with a label, with commas; default: %(default)s"
    parser.add_argument("--labels", type=as_counts, default="50,150,500", help=words)
    parser.add_argument("--arms", type=as_arms, default=",".join(ARM_NAMES), help="with commas; default: %(default)s")
    parser.add_argument("--draws", type=as_count, default=3, help="choices of these patients; default: %(default)s")
    parser.add_argument("--seed", type=as_whole, default=0)
    add_device(parser)
    parser.add_argument("--out", type=as_path, required=True, help="folder to write: probe.json, report.html")
    parser.set_defaults(run=_probe)


def as_counts(text: str) -> tuple[int, ...]:
    """Whole numbers of at least 1 with commas between, ascending."""
    return tuple(sorted({as_count(part) for part in text.split(",")}))


def as_arms(text: str) -> tuple[str, ...]:
    """Arms of a probe, with commas between."""
    arms = tuple(dict.fromkeys(text.split(",")))
    if not arms or any(arm not in ARM_NAMES for arm in arms):
        raise argparse.ArgumentTypeError("must be of " + ", ".join(ARM_NAMES))
    return arms


def _probe(options: argparse.Namespace) -> None:
    check_folder(options.out)
    from core.benchmark.probe import ProbeOptions, probe
    from core.benchmark.probe_report import probe_report, write_probe
    from core.cohort.folder import CohortFolder
    from core.compute.device import resolve_device
    from core.train.encoders import Training, open_encoder

    folder = CohortFolder(options.cohort)
    where, _ = resolve_device(options.device)
    opened = open_encoder(options.modality, options.encoder, Training(folder, folder.task(options.task), 0, where))
    asked = ProbeOptions(options.labels, options.arms, options.draws, options.seed, options.device)
    result = probe(folder, options.task, opened.encoder, options.modality, asked, show_progress)
    described = {"task": options.task, "modality": options.modality, "encoder": opened.words, "seed": options.seed}
    report = probe_report(result, described, options.seed)
    write_probe(report, options.out)
    for row in report["means"]:
        value = "not defined" if row["concordance"] is None else f"{row['concordance']:.3f}"
        print(f"{row['labels']:>6,} labels  {row['arm']:<8} Harrell's C {value}")
    print(f"probe.json and report.html written. {RESEARCH_NOTICE}")


def _add_foresee(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = add_command(commands, "foresee", "read risks of any code off simulated futures of a record")
    parser.add_argument("--model", type=as_path, required=True, help="folder that pretrain --method events wrote")
    words = 'a code, codes with "|" between, or "CODE > NUMBER"; may be given several times'
    parser.add_argument("--code", action="append", required=True, help=words)
    parser.add_argument("--horizon-days", type=as_count, required=True)
    parser.add_argument("--cohort", type=as_path, default=None, help="cohort folder: every labelled patient of a split")
    parser.add_argument("--task", default=None, help="whose prediction times are taken")
    parser.add_argument("--split", default="held_out", choices=("train", "tuning", "held_out"))
    parser.add_argument("--timeline", type=as_path, default=None, help="one record, in place of a cohort")
    parser.add_argument("--prediction-time", default=None, help="ISO time; default: the end of the record")
    parser.add_argument("--subject-id", type=as_whole, default=None, help="needed where it holds several patients")
    parser.add_argument("--futures", type=as_count, default=20, help="simulated for each; default: %(default)s")
    words = "longest future, in tokens, up to half of the model's context; default: %(default)s"
    parser.add_argument("--tokens", type=as_count, default=256, help=words)
    parser.add_argument("--estimator", default="reach", choices=("reach", "hits"))
    parser.add_argument("--seed", type=as_whole, default=0)
    add_device(parser)
    words = "risks.parquet to write; of one record also futures.parquet beside it"
    parser.add_argument("--out", type=as_path, required=True, help=words)
    parser.set_defaults(run=_foresee)


def _foresee(options: argparse.Namespace) -> None:
    if (options.cohort is None) == (options.timeline is None) or (options.cohort and options.task is None):
        found = "What is to be foretold is not clear."
        raise UserFacingError(found, "--cohort with --task, or --timeline", "Give one of the two.")
    check_folder(options.out.parent)
    from core.foresee.cohort_risks import cohort_risks, futures_table, timeline_risks
    from core.foresee.futures import foresee
    from core.foresee.queries import Query
    from core.foresee.train import load_event_model

    trained = load_event_model(options.model, options.device)
    queries = [Query.of(code) for code in options.code]
    how = (options.horizon_days, options.futures, options.seed, options.estimator, options.tokens)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    if options.timeline is None:
        from core.cohort.folder import CohortFolder

        folder = CohortFolder(options.cohort)
        records = folder.records(folder.labels(options.task, options.split))
        table = cohort_risks(records, trained, queries, *how, progress=show_progress)
    else:
        from core.case.from_paths import named_record

        timeline = named_record(options.timeline, options.prediction_time, options.subject_id, None)
        foreseen = foresee(timeline, trained, queries, *how)
        table = timeline_risks(timeline, foreseen)
        futures_table(foreseen.futures, trained.vocabulary).to_parquet(
            options.out.parent / "futures.parquet", index=False
        )
    table.to_parquet(options.out, index=False)
    for code, rows in table.groupby("code", sort=False):
        print(f"{code}: mean risk by day {options.horizon_days} {rows['risk'].mean():.3f}, {len(rows):,} patients")
    if trained.virtual:
        print("The model learned from virtual patients only.")
    print(f"risks written. {RESEARCH_NOTICE}")
