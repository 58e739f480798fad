"""How a net does on held-out scenes, and `nets.json`, where that is written down beside the published nets."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

from ldznet_cli.evaluation import evaluate
from ldznet_cli.inference import OutputPlan, Predictor, open_ledger, segment
from ldznet_cli.inference.prompts import Prompt, Task
from ldznet_cli.miniature.data import save_json
from ldznet_cli.miniature.events import BuildEvent
from ldznet_cli.samples.coco import SampleSet

SCORES = "nets.json"

Entry = dict[str, Any]

_SUBSETS = {"all": "all", "kind:thing": "object", "kind:stuff": "stuff"}
_PRESENCE = {("presence_AUROC", "every score"): "AUROC", ("absent_FPR", "own"): "absent_FPR"}


def scores_on(
    samples: SampleSet, present: SampleSet, predictor: Predictor, place: Path, stage: str
) -> Generator[BuildEvent, None, Entry]:
    """mIoU at the net's own threshold over all phrases, objects, and stuff; and whether it tells what is not there.

    `samples` are the phrases of `present` and others that name nothing in the same scenes: these count for `presence`
    alone, the area under the ROC curve of its scores and the share of absent phrases of which something was found.
    The masks go to the folder `place`.
    """
    tasks = [
        Task(image, tuple(Prompt(sample.phrase, sample.phrase) for sample in found))
        for image, found in samples.by_image().items()
    ]
    records = []
    for record in segment(tasks, predictor, open_ledger(predictor, OutputPlan(place))):
        records.append(record)
        yield BuildEvent(stage, len(records), len(samples.samples))
    entry = {
        _SUBSETS[score.subset]: {"mIoU": score.value, "samples": score.samples}
        for score in evaluate(present.path, records, protocols=("native",)).scores
        if score.metric == "mIoU" and score.threshold == "own" and score.subset in _SUBSETS
    }
    presence = {
        _PRESENCE[score.metric, score.threshold]: score.value
        for score in evaluate(samples.path, records, protocols=("native",)).scores
        if score.subset == "all" and (score.metric, score.threshold) in _PRESENCE
    }
    return entry | {"presence": presence}


def recorded_nets(out: Path) -> list[Entry]:
    """The entries of `out/nets.json`, one for each net; none when there is no such file."""
    path = out / SCORES
    recorded: list[Entry] = json.loads(path.read_text("utf-8"))["nets"] if path.exists() else []
    return recorded


def record_net(out: Path, entry: Entry) -> None:
    """Put a net's entry into `out/nets.json`, in the place of an older one of its kind."""
    others = [other for other in recorded_nets(out) if other["kind"] != entry["kind"]]
    save_json(out / SCORES, {"nets": [*others, entry]})
