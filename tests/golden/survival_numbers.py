"""Writes survival_numbers.json: what lifelines, scikit-survival and torchsurv say of one small cohort full of ties.

Run with the development requirements installed: python tests/golden/survival_numbers.py
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from lifelines import KaplanMeierFitter
from lifelines.utils import concordance_index
from sksurv.metrics import (
    brier_score,
    concordance_index_censored,
    concordance_index_ipcw,
    cumulative_dynamic_auc,
    integrated_brier_score,
)
from sksurv.nonparametric import CensoringDistributionEstimator, kaplan_meier_estimator
from sksurv.util import Surv
from torchsurv.metrics.cindex import ConcordanceIndex

PATIENTS, SEED, TMAX, TIMES = 200, 20240, 24.0, [6.0, 12.0, 18.0]


def cohort() -> dict[str, list[float]]:
    """Outcomes in whole months and scores to one decimal, so that times, scores and both tie."""
    rng = np.random.default_rng(SEED)
    truth = rng.normal(size=PATIENTS)
    happened, left = rng.exponential(15 * np.exp(-truth)), rng.uniform(0, 40, PATIENTS)
    time, event = np.ceil(np.minimum(happened, left)), happened <= left
    risk = np.round(truth + rng.normal(size=PATIENTS), 1)
    rate = np.exp(0.8 * risk) / 15
    survival = np.exp(-np.outer(rate, TIMES))
    return {
        "time": time.tolist(),
        "event": event.astype(int).tolist(),
        "risk": risk.tolist(),
        "survival": survival.tolist(),
    }


def main() -> None:
    data = cohort()
    time, event, risk = np.array(data["time"]), np.array(data["event"], bool), np.array(data["risk"])
    survival, outcome = np.array(data["survival"]), Surv.from_arrays(event, time)
    torch_harrell = ConcordanceIndex()(torch.tensor(risk), torch.tensor(event), torch.tensor(time))
    lifelines_km = KaplanMeierFitter().fit(time, event)
    bounds = lifelines_km.confidence_interval_.loc[TIMES].to_numpy()
    months, prob = kaplan_meier_estimator(event, time)
    numbers = {
        "harrell": {
            "lifelines": concordance_index(time, -risk, event),
            "scikit-survival": concordance_index_censored(event, time, risk)[0],
            "torchsurv": float(torch_harrell),
        },
        "uno": concordance_index_ipcw(outcome, outcome, risk, tau=TMAX)[0],
        "brier": brier_score(outcome, outcome, survival, TIMES)[1].tolist(),
        "integrated_brier": float(integrated_brier_score(outcome, outcome, survival, TIMES)),
        "auc": cumulative_dynamic_auc(outcome, outcome, risk, TIMES)[0].tolist(),
        "kaplan_meier": {
            "scikit-survival": [float(prob[months <= t][-1]) for t in TIMES],
            "lifelines": lifelines_km.predict(TIMES).tolist(),
            "lifelines_interval": bounds.tolist(),
        },
        "censoring": CensoringDistributionEstimator().fit(outcome).predict_proba(np.array(TIMES)).tolist(),
    }
    versions = {name: version(name) for name in ("lifelines", "scikit-survival", "torchsurv", "numpy")}
    result = {"versions": versions, "tmax": TMAX, "times": TIMES, "cohort": data, "numbers": numbers}
    Path(__file__).with_suffix(".json").write_text(json.dumps(result) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
