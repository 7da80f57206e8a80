"""What the events of a record contribute, in seconds after the curve: as many as the model reads, each left out anew.

    python -m bench.event_contributions [--bundle FOLDER] [--events 256] [--repeats 5] [--json FILE]

A demonstration's scan, and its record with its events repeated farther back until the encoder reads as many as asked.
The encodings are there, as they are once the curve is. The target is 3 s on two quiet cores; `ratio` is the least wall
time over it, `ratio_of_processor` the least processor time of all threads over what two cores have in 3 s. On a machine
with other work the threads wait for each other in a loop that counts as work: OMP_WAIT_POLICY=passive ends that.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from bench.timing import best
from core.bundle import load_bundle, shipped_bundles
from core.case.case import read_demo
from core.encode.ehr.encoders import encode_timeline
from core.explain.event_ablation import RecordReadout, event_attribution
from core.records import EHR, Timeline
from core.records.interfaces import RecordEncoder
from core.review import choose_horizon, encode_case

DEMO = Path(__file__).resolve().parents[1] / "assets/demo/cases/1_pe_high_risk"
TARGET_S, CORES = 3.0, 2


def long_record(timeline: Timeline, encoder: RecordEncoder, events: int) -> Timeline:
    """The record with its dated events repeated, a year farther back each time, until `events` of them are read."""
    whole, repeated = timeline, 0
    while read_of(whole, encoder) < events and repeated < 50:
        repeated += 1
        dated = timeline.events[timeline.events["time"].notna() & (timeline.events["code"] != "MEDS_BIRTH")]
        earlier = dated.assign(time=dated["time"] - pd.Timedelta(days=365 * repeated))
        rows = pd.concat([whole.events, earlier]).sort_values("time", na_position="first", kind="stable")
        whole = replace(whole, events=rows.reset_index(drop=True), digest="")
    return whole


def read_of(timeline: Timeline, encoder: RecordEncoder) -> int:
    """Events behind the tokens of a record."""
    ids = encode_timeline(timeline, encoder).event_ids
    return 0 if ids is None else len(np.unique(ids[ids >= 0]))


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description="Seconds that the contributions of a record's events take.")
    parser.add_argument("--bundle", type=Path, default=shipped_bundles().get("pe_mortality/cross_attention"))
    parser.add_argument("--events", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    bundle = load_bundle(options.bundle)
    encoder = bundle.encoders[EHR]
    assert isinstance(encoder, RecordEncoder)
    case = read_demo(DEMO, json.loads((DEMO / "case.json").read_text(encoding="utf-8")))
    assert case.timeline is not None
    timeline = long_record(case.timeline, encoder, options.events)
    encoding = encode_case(case.study, timeline, bundle, "cpu")
    asked = bundle.model, encoder, timeline, encoding.tokens[EHR], encoding.batch(), choose_horizon(bundle, None)
    readout = RecordReadout(*asked, torch.device("cpu"))
    seconds = best({"events": partial(event_attribution, readout)}, options.repeats)["events"]
    found = event_attribution(readout)
    assert found is not None
    result = {
        "model": f"{bundle.task.name}/{bundle.fusion}",
        "events": len(timeline.events),
        "events_read": len(found.event_ids),
        "groups_of_several": sum(len(group.event_ids) > 1 for group in found.groups),
        "threads": torch.get_num_threads(),
        "wall_s": round(seconds.wall, 2),
        "processor_s": round(seconds.processor, 2),
        "ratio": round(seconds.wall / TARGET_S, 3),
        "ratio_of_processor": round(seconds.processor / (TARGET_S * CORES), 3),
    }
    print(json.dumps(result, indent=1))
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
