"""What a reader must know with a result: one plain sentence each, most general first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from core.bundle import Bundle
from core.events.death import says_died
from core.explain.saliency import NOT_CONVERGED
from core.quality import QualityReport, RecordRead, is_thin, population_notice
from core.records import (
    CHANCE_LEVEL,
    DIED_BEFORE,
    DOUBTS,
    EHR,
    ENOUGH_EVENTS,
    FEW_EVENTS,
    IMAGE,
    MODALITIES,
    NOT_EVALUATED,
    NOTHING_READ,
    OTHER_PERSON,
    OUTSIDE_POPULATION,
    THIN_RECORD,
    VIRTUAL_WEIGHTS,
    Attribution,
    CtStudy,
    GivenRisk,
    Notice,
    SurvivalCurve,
    Timeline,
    Tokens,
)
from core.wording import count_of, duration, true_minus

CHANCE = 0.5
DISAGREE_TIMES, DISAGREE_POINTS = 2.0, 0.05
"""Members disagree where the highest risk is twice the lowest and five points above it."""
_NO_BAND = (DIED_BEFORE, NOTHING_READ, OTHER_PERSON, OUTSIDE_POPULATION, FEW_EVENTS)


def case_notices(
    study: CtStudy | None,
    timeline: Timeline | None,
    bundle: Bundle,
    tokens: Mapping[str, Tokens],
    report: QualityReport,
    saliency: Attribution | None,
    explain: str | None,
) -> tuple[Notice, ...]:
    """Every notice on one result but those on its numbers (`disagreement_notice`, `misjudged_notice`).

    tokens: what the bundle's encoders made of the inputs, by modality. report: the verdicts on the case. explain: the
    method asked for, None for none.
    """
    marked = population_notice(report, bundle.model.reads)
    return (
        *_model_notices(bundle),
        *_trust_notices(bundle),
        *_case_notices(study, timeline),
        *_unread_notices(timeline, bundle, tokens),
        *_thin_notices(timeline, bundle),
        *(() if marked is None else (marked,)),
        *_saliency_notices(bundle, saliency, explain),
    )


def _model_notices(bundle: Bundle) -> Iterator[Notice]:
    if bundle.virtual:
        text = "This model was trained on virtual patients. Its numbers do not apply to real people."
        yield Notice(VIRTUAL_WEIGHTS, "warning", text)


def _trust_notices(bundle: Bundle) -> Iterator[Notice]:
    """What speaks against every number of this model: few events, no evaluation, or one no better than chance."""
    training = bundle.card.get("training_data", {})
    events = training.get("events_train")
    if events is not None and events < ENOUGH_EVENTS:
        text = f"The model was trained on {count_of(events, 'event')}, fewer than {ENOUGH_EVENTS}: it cannot be sure."
        yield Notice(FEW_EVENTS, "warning", text)
    rows: list[dict[str, Any]] = [row for row in bundle.card.get("performance", []) if row.get("lower") is not None]
    evaluation: dict[str, Any] = next(iter(bundle.metrics.get("models", {}).values()), {})
    if not evaluation:
        text = "The model was never evaluated on patients it had not seen: predict, then evaluate with its bundle."
        yield Notice(NOT_EVALUATED, "warning", text)
    measured = [*evaluation.get("concordance", []), *rows][:1]
    if measured and measured[0].get("lower") is not None and measured[0]["lower"] <= CHANCE:
        row = measured[0]
        who = "held-out patients" if evaluation else "tuning patients"
        text = (
            f"The model ranks patients no better than chance: concordance {row['value']:.2f} on {who}, 95% interval "
            f"{row['lower']:.2f} to {row['upper']:.2f}."
        )
        yield Notice(CHANCE_LEVEL, "warning", text)


def band_withheld(notices: Iterable[Notice]) -> str:
    """Why no range stands around the curve although outcomes are known, in words; "" where it may stand."""
    keys = {notice.key for notice in notices if notice.level == "warning"}
    return next((f"no range: {DOUBTS[key]}" for key in _NO_BAND if key in keys), "")


def disagreement_notice(members: tuple[float, float], horizon_days: float) -> list[Notice]:
    """Where the members of the ensemble give risks that differ much, lowest and highest."""
    low, high = members
    if high - low < DISAGREE_POINTS or high < DISAGREE_TIMES * low:
        return []
    text = f"The model's members disagree: alone they give {low:.0%} to {high:.0%} by {duration(horizon_days)}."
    return [Notice("members_disagree", "caution", text)]


def misjudged_notice(curve: SurvivalCurve, given: GivenRisk | None, bundle: Bundle) -> list[Notice]:
    """Where those given about this risk had the event more or less often than that, beyond chance."""
    if given is None:
        return []
    risk, (low, high) = curve.risk_at(given.horizon_days), given.interval
    too = "low" if risk < low else "high" if risk > high else ""
    # Of virtual patients the true risk is known: what outcomes show by chance alone is not told of them.
    if not too or (given.true is not None and (given.true > risk) != (too == "low")):
        return []
    who = "virtual patients" if bundle.virtual else "training patients"
    text = (
        f"Risks like this one are too {too}: of {given.patients} {who} given about {percent_words(risk)} by "
        f"{duration(given.horizon_days)}, {given.observed:.1%} had the event (95% interval {low:.1%} to {high:.1%})."
    )
    return [Notice("miscalibrated", "caution", text)]


def percent_words(share: float) -> str:
    """A share as a percentage with two digits.

    >>> percent_words(0.1234), percent_words(0.0123)
    ('12%', '1.2%')
    """
    return f"{share:.0%}" if share >= 0.0995 else f"{share:.1%}"


def _case_notices(study: CtStudy | None, timeline: Timeline | None) -> Iterator[Notice]:
    if timeline is not None and says_died(timeline.events).any():
        text = "The record says that the patient had died by day 0: no curve from then on is about this patient."
        yield Notice(DIED_BEFORE, "warning", text)
    for repair in () if study is None else study.repairs:
        yield Notice("repaired_scan", "caution", f"The scan was repaired: {repair}")


def _unread_notices(timeline: Timeline | None, bundle: Bundle, tokens: Mapping[str, Tokens]) -> Iterator[Notice]:
    """What the model reads of no patient or not of this one."""
    reads = bundle.model.reads
    if not any(name in tokens for name in reads):
        text = "The model read nothing of this patient: its curve is that of somebody of whom nothing is known."
        yield Notice(NOTHING_READ, "warning", text)
    for name in reads:
        if name not in tokens and name != EHR:
            text = f"There is no {MODALITIES[name].word}; the model was trained to answer without one too."
            yield Notice("missing_ct" if name == IMAGE else f"missing_{name}", "caution", text)
    if EHR not in reads:
        return
    if EHR not in tokens and timeline is not None:
        text = "The model knows no code of this record and answers as if there were none, as it was trained to."
        yield Notice("no_known_code", "warning", text)
    elif timeline is None:
        text = "There is no record; the model was trained to answer without one too."
        yield Notice("missing_timeline", "caution", text)
    elif left_out := RecordRead.of(tokens.get(EHR), timeline).words(len(timeline.events)):
        yield Notice("record_cut", "caution", f"Not all of the record was read: {left_out}.")


def _thin_notices(timeline: Timeline | None, bundle: Bundle) -> Iterator[Notice]:
    """A short record reads as health: which way the risk is off."""
    if timeline is None or EHR not in bundle.model.reads or not is_thin(timeline, virtual_model=bundle.virtual):
        return
    text = (
        f"Risk is likely too low: short record ({count_of(len(timeline.events), 'event')}). The model takes what is "
        "not written down for health."
    )
    yield Notice(THIN_RECORD, "warning", text)


def _saliency_notices(bundle: Bundle, saliency: Attribution | None, explain: str | None) -> Iterator[Notice]:
    if explain is not None and IMAGE not in bundle.model.reads:
        text = "No saliency: this model reads the record only, so nothing on the scan changes its answer."
        yield Notice("no_saliency", "info", text)
    if saliency is not None and saliency.depends is False:
        text = (
            "The map failed the weight-randomisation check: maps of this method look much the same with random "
            "weights, so this one tells little of what the model learned."
        )
        yield Notice("map_unproven", "caution", text)
    if saliency is not None and (saliency.convergence_delta or 0.0) > NOT_CONVERGED:
        share, change = saliency.convergence_delta or 0.0, saliency.risk_change or 0.0
        text = (
            f"The saliency has not converged: its sums miss the change of risk by {100 * share:.0f}%. "
            f"The change to be explained is {true_minus(f'{100 * change:.2g}')} percentage points in all."
        )
        yield Notice("not_converged", "caution", text)
