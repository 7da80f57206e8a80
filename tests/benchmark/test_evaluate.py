"""evaluate: the numbers are those of the functions, the files stand alone, and bad input is refused in words."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from lifelines import KaplanMeierFitter
from lifelines.statistics import multivariate_logrank_test
from survive_support import cohort, prediction_table, survival_curves

from core import RESEARCH_NOTICE
from core.benchmark.evaluate import evaluate, evaluate_tables
from core.benchmark.report_plots import baseline_figure, calibration_figure, calibration_words, training_rows
from core.errors import UserFacingError
from core.survive import bootstrap_concordance, brier_score, cumulative_dynamic_auc, paired_bootstrap
from core.survive.metrics.brier import integrated_brier_score

HORIZONS = [30, 90, 365]


@pytest.fixture(scope="module")
def simulated():
    """Outcomes and two scores: the true log hazard and a noisy one."""
    rng = np.random.default_rng(1)
    time, event, truth = cohort(rng, 500, censor_days=900)
    return time, event, {"concat": truth, "image_only": 0.5 * (truth + rng.normal(size=500))}


@pytest.fixture(scope="module")
def files(simulated, tmp_path_factory):
    """A prediction file for each score; the rows of the second in another order."""
    folder, (time, event, scores) = tmp_path_factory.mktemp("predictions"), simulated
    for name, score in scores.items():
        table = prediction_table(time, event, score, survival_curves(score, HORIZONS), HORIZONS)
        table.sample(frac=1, random_state=len(name)).to_parquet(folder / f"{name}.parquet")
    return [folder / "concat.parquet", folder / "image_only.parquet"]


@pytest.fixture(scope="module")
def evaluated(files, tmp_path_factory):
    """(report, output folder) of both files against image_only."""
    out = tmp_path_factory.mktemp("report")
    return evaluate(files, "image_only", out / "deep" / "er", resamples=200), out / "deep" / "er"


def test_numbers_are_those_of_the_functions(simulated, evaluated):
    (time, event, scores), (report, _) = simulated, evaluated
    found = report["models"]["concat"]
    harrell, uno = found["concordance"]
    expected = bootstrap_concordance(time, event, scores["concat"], resamples=200)
    assert (harrell["value"], harrell["lower"]) == pytest.approx((expected.value, expected.lower), abs=0.02)
    assert harrell["value"] == pytest.approx(expected.value, abs=1e-12)
    assert (harrell["estimator"], harrell["tmax_days"], uno["estimator"], uno["tmax_days"]) == (
        "harrell",
        None,
        "uno",
        365,
    )
    survival = survival_curves(scores["concat"], HORIZONS)
    for k, days in enumerate(HORIZONS):
        entry = found["horizons"][str(days)]
        assert entry["brier"]["value"] == pytest.approx(brier_score(time, event, survival[:, [k]], [days])[0])
        assert entry["auc"]["value"] == pytest.approx(cumulative_dynamic_auc(time, event, scores["concat"], days)[0])
        assert entry["auc"]["lower"] < entry["auc"]["value"] < entry["auc"]["upper"]
        assert entry["brier"]["value"] < entry["brier"]["kaplan_meier_reference"]
        assert entry["events_by_horizon"] == (event & (time <= days)).sum()
        assert (
            entry["calibration"]["observed_expected"]["lower"] < 1 < entry["calibration"]["observed_expected"]["upper"]
        )
    assert (report["patients"], report["events"], report["reference"]) == (500, event.sum(), "image_only")


def test_over_horizons_is_what_the_functions_say(simulated, evaluated):
    (time, event, scores), (report, _) = simulated, evaluated
    for name, score in scores.items():
        survival, found = survival_curves(score, HORIZONS), report["models"][name]["over_horizons"]
        assert found["horizons_days"] == HORIZONS
        expected = integrated_brier_score(time, event, survival, HORIZONS)
        assert found["integrated_brier"]["value"] == pytest.approx(expected)
        for part in (found["integrated_brier"], found["antolini"]):
            assert part["lower"] < part["value"] < part["upper"]
    calibrated, distorted = (report["models"][name]["over_horizons"] for name in ("concat", "image_only"))
    assert calibrated["antolini"]["value"] > distorted["antolini"]["value"] > 0.5
    assert calibrated["integrated_brier"]["value"] < distorted["integrated_brier"]["value"]
    assert calibrated["d_calibration"]["p_value"] > 0.01
    shares = [item["value"] for item in calibrated["d_calibration"]["bins"]]
    assert sum(shares) == pytest.approx(1)


def test_too_sure_predictions_are_not_d_calibrated(simulated):
    time, event, scores = simulated
    table = prediction_table(time, event, scores["concat"], survival_curves(3 * scores["concat"], HORIZONS), HORIZONS)
    report = evaluate_tables({"too_sure": table}, resamples=20)
    assert report["models"]["too_sure"]["over_horizons"]["d_calibration"]["p_value"] < 0.001


def test_thirds_are_apart_where_the_score_ranks_and_alike_where_it_is_noise(simulated, evaluated):
    (time, event, scores), (report, _) = simulated, evaluated
    found = report["models"]["concat"]["risk_groups"]
    assert [group["n"] for group in found["groups"]] == pytest.approx([167, 166, 167], abs=1)
    assert sum(group["events"] for group in found["groups"]) == event.sum()
    by_third = pd.qcut(scores["concat"], 3, labels=False)
    expected = multivariate_logrank_test(time, by_third, event)
    assert found["log_rank"]["statistic"] == pytest.approx(expected.test_statistic)
    last = [group["at_horizons"]["survival"][-1] for group in found["groups"]]
    assert last == sorted(last, reverse=True)
    for group in range(3):
        km = KaplanMeierFitter().fit(time[by_third == group], event[by_third == group])
        assert found["groups"][group]["at_horizons"]["survival"] == pytest.approx(km.predict(HORIZONS).to_numpy())
    noise = np.random.default_rng(7).normal(size=len(time))
    table = prediction_table(time, event, noise, survival_curves(noise, HORIZONS), HORIZONS)
    alike = evaluate_tables({"noise": table}, resamples=20)["models"]["noise"]["risk_groups"]
    assert alike["log_rank"]["p_value"] > 0.01
    assert found["log_rank"]["p_value"] < 1e-6


def test_differences_are_paired_with_the_reference(simulated, evaluated):
    (time, event, scores), (report, _) = simulated, evaluated
    (found,) = report["differences"]
    expected = paired_bootstrap(time, event, scores, "image_only", resamples=200)[0]
    assert found["name"] == "concat"
    assert found["difference"] == pytest.approx(expected.difference)
    assert found["lower"] > 0
    assert found["p_holm"] < 0.05


def test_files_stand_alone_and_hold_no_patient(evaluated):
    report, out = evaluated
    text, page = (out / "report.json").read_text(), (out / "report.html").read_text()
    assert json.loads(text) == report
    assert RESEARCH_NOTICE in text
    assert page.count(RESEARCH_NOTICE) >= 2
    assert not re.search(r"<script|<link|(?:src|href)=\"(?!#)[a-z]", page)
    assert page.count("<svg") == 3 + len(HORIZONS)
    assert page.count("aria-label") == page.count("<svg")
    for words in (
        "Harrell",
        "Uno",
        "concat",
        "image_only",
        "By day 365",
        "Holm",
        "bootstrap of patients",
        "Observed / expected",
        "Over all horizons",
        "Antolini",
        "Thirds by predicted risk",
    ):
        assert words in page
    assert "1000" not in re.findall(r"subject_id|\b1000\b", text)


def test_reference_by_path_or_by_default_the_first(files, tmp_path):
    by_path = evaluate(files, str(files[1]), tmp_path, resamples=20)
    assert by_path["reference"] == "image_only"
    assert evaluate(files, None, tmp_path, resamples=20)["reference"] == "concat"
    alone = evaluate(files[:1], None, tmp_path, resamples=20)
    assert (alone["reference"], alone["differences"]) == (None, [])
    with pytest.raises(UserFacingError, match="reference"):
        evaluate(files, "nobody", tmp_path)


def test_same_file_names_take_their_folders(files, tmp_path):
    paths = []
    for folder, source in zip(("a", "b"), files, strict=True):
        (tmp_path / folder).mkdir()
        paths.append(tmp_path / folder / "predictions.parquet")
        paths[-1].write_bytes(source.read_bytes())
    assert list(evaluate(paths, None, tmp_path / "out", resamples=20)["models"]) == ["a/predictions", "b/predictions"]


def _broken(table, how):
    return {
        "missing column": lambda: table.drop(columns="risk"),
        "no horizon": lambda: table.drop(columns=[f"survival_{days}d" for days in HORIZONS]),
        "missing value": lambda: table.assign(risk=table["risk"].where(table.index > 3)),
        "repeated": lambda: pd.concat([table, table.head(1)]),
        "rising": lambda: table.assign(survival_365d=1.0, survival_30d=0.5),
        "percent": lambda: table.assign(survival_30d=99.0),
        "empty": lambda: table.head(0),
        "coded 2": lambda: table.assign(event=table["event"] + 1),
        "event in words": lambda: table.assign(event=table["event"].map({1: "yes", 0: "no"})),
        "risk in words": lambda: table.assign(risk="high"),
        "negative": lambda: table.assign(time_to_event_days=-1.0),
        "other patients": lambda: table.assign(subject_id=table["subject_id"] + 1),
        "fewer patients": lambda: table.head(400),
        "other outcomes": lambda: table.assign(event=1),
        "other horizons": lambda: table.drop(columns="survival_90d"),
    }[how]()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("missing column", "lack: risk"),
        ("no horizon", "survival_<days>d"),
        ("missing value", "missing values"),
        ("repeated", "repeated rows"),
        ("rising", "not survival curves"),
        ("percent", "not survival curves"),
        ("empty", "empty"),
        ("coded 2", "besides 0 and 1"),
        ("event in words", "hold texts in: event"),
        ("risk in words", "hold texts in: risk"),
        ("negative", "negative"),
        ("other patients", "different patients"),
        ("fewer patients", "different patients"),
        ("other outcomes", "different outcomes"),
        ("other horizons", "different horizons"),
    ],
)
def test_bad_files_are_refused(files, tmp_path, how, words):
    path = tmp_path / "broken.parquet"
    _broken(pd.read_parquet(files[0]), how).to_parquet(path)
    with pytest.raises(UserFacingError, match=words) as caught:
        evaluate([files[0], path], None, tmp_path)
    assert not re.search(r"\b1[0-4]\d\d\b", str(caught.value))


def test_unreadable_files_are_refused(tmp_path):
    (tmp_path / "text.parquet").write_text("not a table")
    for path in (tmp_path / "text.parquet", tmp_path / "absent.parquet"):
        with pytest.raises(UserFacingError, match="cannot be read"):
            evaluate([path], None, tmp_path)
    with pytest.raises(UserFacingError, match="No prediction file"):
        evaluate([], None, tmp_path)


def test_horizons_beyond_support_or_follow_up_carry_a_reason(simulated):
    time, event, scores = simulated
    horizons = [90, 2000]
    table = prediction_table(time, event, scores["concat"], survival_curves(scores["concat"], horizons), horizons)
    late = evaluate_tables({"m": table}, resamples=20)["models"]["m"]
    assert "followed beyond" in late["horizons"]["2000"]["reason"]
    empty = evaluate_tables({"m": table.assign(survival_2000d=np.nan)}, resamples=20)["models"]["m"]
    assert "not trained on follow-up" in empty["horizons"]["2000"]["reason"]
    assert empty["horizons"]["90"]["auc"]["value"] > 0.6


def test_few_events_are_warned_of(simulated):
    time, event, scores = (part[:40] if isinstance(part, np.ndarray) else part for part in simulated)
    few = event & (np.cumsum(event) <= 8)
    risk = scores["concat"][:40]
    report = evaluate_tables({"m": prediction_table(time, few, risk, survival_curves(risk, [90]), [90])}, resamples=50)
    assert "Only 8 events" in report["warning"]


def test_two_studies_of_one_patient_are_one_patient(simulated):
    time, event, scores = simulated
    table = prediction_table(time, event, scores["concat"], survival_curves(scores["concat"], HORIZONS), HORIZONS)
    later = table.assign(prediction_time=table["prediction_time"] + pd.Timedelta(days=1))
    report = evaluate_tables({"m": pd.concat([table, later], ignore_index=True)}, resamples=50)
    assert (report["patients"], report["rows"]) == (500, 1000)


def test_card_figures_follow_the_theme_and_say_the_same(evaluated):
    report, _ = evaluated
    model = report["models"]["image_only"]
    figure = calibration_figure(model["horizons"]["365"], fusion="image_only")
    assert figure is not None
    layout = figure.to_plotly_json()["layout"]
    assert layout["paper_bgcolor"] == layout["plot_bgcolor"] == "rgba(0, 0, 0, 0)"
    assert "color" not in json.dumps(layout.get("font", {})) + json.dumps(layout["title"])
    points = figure.data[-1]
    assert list(points.y) == pytest.approx(
        [100 * v for v in model["horizons"]["365"]["calibration"]["groups"]["observed"]]
    )
    assert points.marker.color == "#E69F00"
    words = calibration_words(model["horizons"]["365"])
    assert words.startswith("By 1 year, ")
    assert "observed / expected" in words
    assert calibration_figure({"horizon_days": 9, "reason": "none"}) is None
    assert "held-out virtual patients had" in calibration_words(model["horizons"]["365"], "held-out virtual patients")
    assert calibration_words({"horizon_days": 9, "reason": "No one."}) == "No one."
    rows = training_rows(model, events=report["events"])
    assert len(rows) == 2 + 4 * len(HORIZONS)
    assert rows[0]["Measure"] == "Concordance, Harrell"
    assert rows[0]["Events"] == str(report["events"])
    uno = rows[1]
    assert (uno["Measure"], uno["Events"]) == (
        "Concordance, Uno (IPCW)",
        str(model["horizons"][str(HORIZONS[-1])]["events_by_horizon"]),
    )
    assert re.fullmatch(r"0\.\d{3} \(0\.\d{3} to 0\.\d{3}\)", rows[0]["Value (95% interval)"])


def test_baseline_figure_draws_the_training_curve():
    figure = baseline_figure([0, 10, 20], [1, 0.9, 0.8], [1, 0.8, 0.7], [1, 0.95, 0.9])
    assert list(figure.data[1].y) == pytest.approx([100, 90, 80])
    assert figure.data[1].line.shape == "hv"


def test_the_axis_of_the_training_curve_names_years_as_the_patients_curve_does():
    figure = baseline_figure([0, 800, 1525], [1, 0.9, 0.8], [1, 0.8, 0.7], [1, 0.95, 0.9])
    assert list(figure.layout.xaxis.ticktext) == ["day 0", "1 y", "2 y", "3 y", "4 y"]
    assert list(figure.data[1].text) == ["0 days", "2.2 years", "4.2 years"]
    weeks = baseline_figure([0, 10, 40], [1, 0.9, 0.8], [1, 0.8, 0.7], [1, 0.95, 0.9])
    assert list(weeks.layout.xaxis.ticktext) == ["day 0", "30 d"]
