"""The quality gate on records and likeness to training, the report, and how it marks a prediction."""

from __future__ import annotations

from dataclasses import replace

import demo_support
import numpy as np
import pandas as pd
import pytest
from demo_support import encoded_demo, shipped
from review_support import DAY_0, RISKY_CODE, timeline

from core.bundle import Bundle
from core.export.style import OUTSIDE_MARK, curve_marks
from core.quality import Factor, QualityReport, assess, population_notice
from core.quality.embedding import embedding_factor, input_factors, placed, reference_embeddings
from core.quality.limits import ANY_RECORD, LIMITS, VIRTUAL_RECORD
from core.quality.record import RecordRead, record_factors
from core.records import CtStudy, Timeline
from core.review import CaseEncoding, assess_case, encode_case, review_case
from core.timeline import load_timeline
from core.view.quality import quality_html

ANY_MODEL = {"virtual_model": False, "read": None}
DEMOS = ("1_pe_high_risk", "2_pe_low_risk", "3_mace")


def all_known(share: float) -> RecordRead:
    """A model that reads every event whose code it knows."""
    return RecordRead(share, share, -400.0)


def demo(name: str) -> tuple[CtStudy, Timeline, str]:
    """CT, record and task of a shipped virtual patient."""
    return *demo_support.demo(name), demo_support.demo_case(name).task


def encoded_for(bundle: Bundle) -> CaseEncoding:
    """Tokens of the first demo patient for a bundle."""
    study, record, task = demo(DEMOS[0])
    return encode_case(study, record, bundle, reuse=encoded_demo(DEMOS[0], task))


def aged(record: Timeline, days: float) -> Timeline:
    """The same record, asked about `days` later."""
    return replace(record, prediction_time=record.prediction_time + pd.Timedelta(days=days), digest="")


def verdicts(factors: tuple[Factor, ...]) -> dict[str, str]:
    return {factor.name: factor.verdict for factor in factors}


@pytest.mark.parametrize("name", DEMOS)
def test_records_like_the_training_records_are_in(name: str) -> None:
    found = verdicts(record_factors(demo(name)[1], virtual_model=True, read=all_known(1.0)))
    assert found == {"events": "in", "record length": "in", "last event": "in", "known codes": "in"}


def test_stale_short_and_sparse_records_are_told_apart() -> None:
    record = demo(DEMOS[0])[1]
    stale = verdicts(record_factors(aged(record, 100), virtual_model=True, read=all_known(1.0)))
    assert (stale["last event"], stale["events"]) == ("edge", "in")
    assert (
        verdicts(record_factors(aged(record, 400), virtual_model=True, read=all_known(1.0)))["last event"] == "outside"
    )
    recent = record.events[record.days_from_prediction > -20].reset_index(drop=True)
    short = verdicts(record_factors(replace(record, events=recent, digest=""), virtual_model=True, read=all_known(1.0)))
    assert short["record length"] == "outside"
    few = verdicts(record_factors(timeline(()), virtual_model=True, read=all_known(1.0)))
    assert few["events"] == "outside"
    assert verdicts(record_factors(timeline(()), virtual_model=False, read=None))["events"] == "edge"


def test_a_record_without_times_says_so() -> None:
    events = timeline(()).events
    undated = Timeline(events.assign(time=pd.NaT).astype({"time": "datetime64[us]"}), 7, DAY_0)
    found = verdicts(record_factors(undated, virtual_model=False, read=None))
    assert found["last event"] == "unknown"
    assert found["record length"] == "unknown"


@pytest.mark.parametrize(
    ("share", "verdict"), [(1.0, "in"), (0.8, "in"), (0.7, "edge"), (0.38, "outside"), (0, "outside")]
)
def test_codes_that_the_model_does_not_know_count(share: float, verdict: str) -> None:
    factor = record_factors(timeline(()), virtual_model=False, read=all_known(share))[-1]
    assert (factor.name, factor.verdict) == ("known codes", verdict)
    assert f"{100 * share:.0f}%" in factor.found


def test_likeness_follows_the_training_quantiles() -> None:
    reference = np.random.default_rng(0).normal(size=(400, 6)).astype(np.float32)
    table = pd.DataFrame(reference).add_prefix("embedding_")
    assert embedding_factor(np.zeros(6, np.float32), table).verdict == "in"
    assert embedding_factor(np.full(6, 9, np.float32), table).verdict == "outside"
    shares = [placed(row, np.delete(reference, n, 0)).share for n, row in enumerate(reference)]
    assert np.mean(np.array(shares) > LIMITS["likeness"].usual[1]) == pytest.approx(0.05, abs=0.02)
    assert embedding_factor(np.zeros(6, np.float32), table[:10]).verdict == "unknown"


@pytest.mark.parametrize("patients", [20, 28, 60, 150, 400])
def test_a_small_cohort_calls_few_of_its_own_kind_unlike_it_and_still_tells_what_is_far_off(patients: int) -> None:
    """With hardly more patients than axes, nobody new used to be like any of them."""
    rng = np.random.default_rng(patients)
    spread = 0.8 ** np.arange(16)
    found = []
    for _ in range(60):
        known = pd.DataFrame((rng.normal(size=(patients, 16)) * spread).astype(np.float32)).add_prefix("embedding_")
        found += [embedding_factor((rng.normal(size=16) * spread).astype(np.float32), known).verdict for _ in range(5)]
        assert embedding_factor((30 * spread).astype(np.float32), known).verdict == "outside"
    assert found.count("in") / len(found) > 0.88
    assert found.count("outside") / len(found) < 0.05


def test_likeness_is_said_in_words_that_can_be_understood() -> None:
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(400, 6)).astype(np.float32)).add_prefix("embedding_")
    factor = embedding_factor(np.full(6, 9, np.float32), table)
    times, _, rest = factor.found.partition(" times the usual distance, ")
    assert 10 < float(times) < 20
    assert rest == "farther from its nearest neighbours than all 400 training patients are from theirs"
    assert "scan" not in factor.reason, "it is said of records without a scan, too"
    assert factor.limit == "usual at most 95% of training patients, edge at most 99.5%"
    alone = embedding_factor(np.full(6, 9, np.float32), table, ("CT",))
    assert (alone.verdict, "had a CT, which this case lacks" in alone.reason) == ("outside", True)


def test_without_its_ct_a_case_is_told_from_one_that_is_unlike_training() -> None:
    record, bundle = demo(DEMOS[0])[1], shipped(f"{demo(DEMOS[0])[2]}/cross_attention")
    factor = assess_case(None, record, bundle, encode_case(None, record, bundle))["likeness"]
    assert (factor.verdict, "which this case lacks" in factor.reason) == ("outside", True)


def test_noise_for_a_scan_is_marked_and_lies_far_from_what_a_scan_model_saw() -> None:
    study, record, task = demo(DEMOS[0])
    odd = replace(study, voxels_hu=np.random.default_rng(3).integers(-1000, 1000, study.shape).astype(np.int16))
    bundle = shipped(f"{task}/image_only")
    encoding = encode_case(odd, None, bundle)
    factor = assess_case(odd, None, bundle, encoding)["likeness"]
    assert factor.verdict == "outside"
    assert float(factor.found.split()[0]) > 3
    for fusion in ("image_only", "concat", "cross_attention", "co_attention_ehr_guided"):
        bundle = shipped(f"{task}/{fusion}")
        report = assess_case(odd, record, bundle, encode_case(odd, record, bundle, reuse=encoding))
        factor = report["scan likeness"]
        assert (factor.verdict, factor.about) == ("outside", "image")
        assert float(factor.found.split()[0]) > 5
        mark = population_notice(report, bundle.model.reads)
        assert mark is not None
        assert "scan likeness" in mark.text
        if report["likeness"].verdict == "in":
            assert "may still differ" in report["likeness"].reason
        report = assess_case(
            study, record, bundle, encode_case(study, record, bundle, reuse=encoded_demo(DEMOS[0], task))
        )
        assert report["scan likeness"].verdict == "in"


def test_an_input_that_the_model_does_not_read_is_not_compared() -> None:
    study, record, task = demo(DEMOS[0])
    names = {}
    for fusion in ("image_only", "ehr_only", "concat"):
        bundle = shipped(f"{task}/{fusion}")
        report = assess_case(
            study, record, bundle, encode_case(study, record, bundle, reuse=encoded_demo(DEMOS[0], task))
        )
        names[fusion] = [factor.name for factor in report.factors if factor.name.endswith(" likeness")]
    assert names == {
        "image_only": ["scan likeness"],
        "ehr_only": ["record likeness"],
        "concat": ["scan likeness", "record likeness"],
    }


def test_each_input_is_compared_by_itself() -> None:
    rng = np.random.default_rng(0)
    known = rng.normal(size=(400, 3)) @ rng.normal(size=(3, 85))
    table = pd.DataFrame(known.astype(np.float16)).add_prefix("image_")
    table.iloc[7] = np.nan
    on_plane, off_plane = known[20] * 0.5, known[20] * 0.5 + 3 * rng.normal(size=85)
    factors = [input_factors({"image": case.astype(np.float32)}, table)[0] for case in (on_plane, off_plane)]
    assert [(factor.name, factor.verdict) for factor in factors] == [
        ("scan likeness", "in"),
        ("scan likeness", "outside"),
    ]
    assert input_factors({"ehr": np.zeros(64, np.float32)}, table) == ()
    assert input_factors({"image": np.zeros(85, np.float32)}, table[:10])[0].verdict == "unknown"


def test_an_empty_record_has_no_length_and_no_unknown_codes() -> None:
    empty = replace(timeline(()), events=timeline(()).events[:0], digest="")
    for virtual_model in (True, False):
        found = verdicts(record_factors(empty, virtual_model=virtual_model, read=all_known(0.0)))
        assert found == {
            "events": "outside",
            "record length": "outside" if virtual_model else "unknown",
            "last event": "unknown",
            "known codes": "unknown",
        }


def test_a_record_longer_than_a_life_is_said() -> None:
    events = timeline((RISKY_CODE,)).events
    old = events.assign(time=events["time"].where(events["code"] != RISKY_CODE, DAY_0 - pd.Timedelta(days=60_000)))
    old = old.sort_values("time", na_position="first", ignore_index=True)
    factors = {f.name: f for f in record_factors(replace(timeline(()), events=old, digest=""), **ANY_MODEL)}
    assert factors["record length"].verdict == "outside"
    assert "dates are wrong" in factors["record length"].reason


def test_reference_columns_are_read_in_their_number_order() -> None:
    table = pd.DataFrame({f"embedding_{n}": [float(n)] for n in (10, 2, 0)}).assign(risk=0.5)
    assert reference_embeddings(table).tolist() == [[0.0, 2.0, 10.0]]


def test_every_limit_holds_its_usual_range_within_its_edge_and_names_a_source() -> None:
    for limit in (*LIMITS.values(), *VIRTUAL_RECORD.values(), *ANY_RECORD.values()):
        assert limit.edge[0] <= limit.usual[0] <= limit.usual[1] <= limit.edge[1]
        assert limit.edge[0] < limit.edge[1]
        assert limit.words("mm").startswith("usual ")
        assert limit.source
        assert limit.judge(float("nan")) == "unknown"


REPORT = QualityReport(
    (
        Factor("noise", "in", "20 HU", "fine"),
        Factor("kernel", "edge", "<b>LUNG</b>", "sharp"),
        Factor("events", "outside", "3", "too few", "ehr"),
        Factor("tube voltage", "unknown", "not stated", "no tag"),
    )
)


def test_a_report_is_read_worst_first() -> None:
    assert [factor.verdict for factor in REPORT.worst_first] == ["outside", "edge", "unknown", "in"]
    assert REPORT.verdict == "outside"
    assert QualityReport(REPORT.of("unknown")).verdict == "unknown"
    assert REPORT["kernel"].reason == "sharp"
    with pytest.raises(KeyError):
        REPORT["colour"]


def test_only_what_the_model_reads_marks_its_prediction() -> None:
    record, scan = population_notice(REPORT, ("ehr",)), population_notice(REPORT, ("image",))
    assert record is not None
    assert scan is not None
    assert (record.level, scan.level) == ("warning", "caution")
    assert "too few" in record.text
    assert "sharp" in scan.text
    assert population_notice(QualityReport(REPORT.of("in")), ("image", "ehr")) is None
    assert curve_marks([record], virtual=False) == [OUTSIDE_MARK]
    assert curve_marks([scan], virtual=False) == []


def test_the_panel_shows_icon_word_and_escaped_reason_worst_first() -> None:
    shown = quality_html(REPORT)
    assert "1 outside, 1 at the edge, 1 not known, 1 in range" in shown
    assert "<b>LUNG" not in shown
    assert shown.index("too few") < shown.index("sharp") < shown.index("fine")
    assert shown.count('aria-label="outside"') == 2


def test_a_case_is_assessed_without_a_model_too() -> None:
    record = demo(DEMOS[0])[1]
    names = set(verdicts(assess(None, record).factors))
    assert names == {"events", "record length", "last event", "vocabularies"}
    assert assess(None, None).factors == ()


@pytest.mark.parametrize("name", DEMOS)
def test_shipped_virtual_patients_are_not_outside_their_models(name: str) -> None:
    study, record, task = demo(name)
    bundle = shipped(f"{task}/cross_attention")
    report = assess_case(study, record, bundle, encoded_demo(name, task))
    assert report.of("outside") == ()
    assert report["likeness"].verdict in ("in", "edge")


def test_a_mirrored_scan_is_reviewed_and_marked() -> None:
    """It never blocks: the curve is there, with the mark that the upright scan does not carry."""
    study, record, task = demo(DEMOS[0])
    bundle = shipped(f"{task}/cross_attention")
    upright = review_case(study, record, bundle, explain=None, encoding=encoded_demo(DEMOS[0], task))
    mirrored = replace(study, voxels_hu=np.ascontiguousarray(study.voxels_hu[::-1]))
    marked = review_case(mirrored, record, bundle, explain=None)
    assert 0 < marked.horizon_risks[90] < 1
    notice = next(notice for notice in marked.notices if notice.key == "outside_population")
    assert (notice.level, "left and right" in notice.text) == ("warning", True)
    assert OUTSIDE_MARK in curve_marks(marked.notices, bundle.virtual)
    assert OUTSIDE_MARK not in curve_marks(upright.notices, bundle.virtual)


def test_measures_are_taken_once_and_never_for_another_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    study, record, task = demo(DEMOS[0])
    bundle = shipped(f"{task}/ehr_only")
    first = encode_case(study, record, bundle)
    calls = []
    monkeypatch.setattr("core.review.measure_scan", lambda scan: calls.append(scan.digest))
    assert encode_case(study, record, bundle, reuse=first).measured is first.measured
    other = replace(study, voxels_hu=study.voxels_hu[:, :, 1:])
    encode_case(other, record, bundle, reuse=first)
    assert calls == [other.digest]


@pytest.mark.parametrize(
    ("code", "verdict", "found"),
    [
        ("ICD10CM//I26.99", "in", "100% of events"),
        ("I26.99", "in", "100% of events"),
        ("K9", "outside", "0% of events"),
    ],
)
def test_codes_without_a_vocabulary_are_told_before_a_model_is_chosen(code: str, verdict: str, found: str) -> None:
    rows = "".join(f"7,2020-01-0{day},{code}\n" for day in range(1, 6))
    record = load_timeline([("events.csv", f"subject_id,time,code\n{rows}".encode())])
    (factor,) = [factor for factor in assess(None, record).factors if factor.name == "vocabularies"]
    assert (factor.verdict, factor.found) == (verdict, found)
    assert ("ICD10CM//" in factor.reason) == (verdict == "outside")


@pytest.mark.parametrize(
    ("share", "told"),
    [(0.0, "knows none of"), (0.004, "knows fewer than 1% of"), (0.2, "knows only 20% of")],
)
def test_how_few_codes_a_model_knows_is_said_in_words(share, told):
    factors = record_factors(demo(DEMOS[0])[1], virtual_model=True, read=all_known(share))
    reason = next(factor.reason for factor in factors if factor.name == "known codes")
    assert told in reason
    assert "0%" not in reason.replace("20%", "")
