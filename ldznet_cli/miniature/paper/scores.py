"""Probability maps in, the study's numbers out: the `clipseg` protocol at the scenes' own size, and `native`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ldznet_cli.evaluation import Answer, Evaluation, ImageKey
from ldznet_cli.features import FeatureItem, FeatureSource
from ldznet_cli.inference import Predictor
from ldznet_cli.metrics import Prediction
from ldznet_cli.miniature.scenes import SIZE
from ldznet_cli.samples.coco import SampleSet
from ldznet_cli.samples.geometry import Geometry, to_pixels
from ldznet_cli.samples.images import read_image, sha256_of
from ldznet_cli.samples.listing import ImageRef

Map = NDArray[np.float32]
Maps = Iterator[tuple[ImageRef, str, Map]]

SUBSETS = {"all": "all", "kind:thing": "objects", "kind:stuff": "stuff"}
KEPT = {"mIoU": ("0.3", "0.5", "best", "own"), "IoU_FG": ("0.3", "0.5", "best")}
"""Of each metric, the rules by which pixels become foreground; all AP numbers are kept as well."""
PRECISIONS = ("AP", "AP_exact")
BEST = "all/mIoU@best"
"""At the threshold that is best on the very set, as in the paper."""
OWN = "all/mIoU@own"
"""At the one that validation chose."""


@dataclass(frozen=True)
class Scores:
    """Numbers by name (`objects/mIoU@best`), each in [0, 1], and what each was in the bootstrap replicates."""

    numbers: dict[str, float]
    replicates: dict[str, NDArray[np.float64]]
    samples: dict[str, int]


def score(samples: SampleSet, maps: Maps, threshold: float, replicates: int, *, size: int = SIZE) -> Scores:
    """All numbers of one set of test images; `threshold` is the model's own, chosen on validation images.

    `size` is the side of `clipseg`'s square.

    The same image is redrawn as often in every run's replicate k, so that runs can be compared in pairs.
    """
    with Evaluation(samples, "the study", protocols=("clipseg", "native"), size=size) as run:
        for image, phrase, prob in maps:
            loaded = partial(Prediction, prob, threshold=threshold)
            run.update(Answer(ImageKey(image.name), phrase, loaded))
        report = run.report()
    if report.predictions.missing:
        raise ValueError(f"{report.predictions.missing} samples of {samples.path} were not predicted")
    found = Scores({}, {}, {})
    for result in run.results:
        number = result.score
        subset = SUBSETS.get(number.subset)
        name = _name(number.protocol, number.metric, number.threshold)
        if subset is None or name is None or number.value is None:
            continue
        found.numbers[f"{subset}/{name}"] = number.value
        found.samples[subset] = number.samples
        if result.drawn is not None:
            found.replicates[f"{subset}/{name}"] = result.drawn[:replicates]
    return found


def _name(protocol: str, metric: str, rule: str) -> str | None:
    """How the study calls a number; None for one that it does not keep."""
    if (protocol == "native") != (rule == "own"):
        return None
    if metric in PRECISIONS and protocol == "clipseg":
        return metric
    return f"{metric}@{rule}" if rule in KEPT.get(metric, ()) else None


@torch.inference_mode()
def net_maps(
    net: nn.Module,
    source: FeatureSource,
    samples: SampleSet,
    geometry: Geometry,
    *,
    rgb: bool = False,
    draws: int = 1,
) -> Maps:
    """A net's maps, the sigmoid of the mean of its logits over `draws`; `rgb` feeds it the image in place of z."""
    for image, phrases in _questions(samples):
        items = [FeatureItem(phrase, draw) for phrase in phrases for draw in range(draws)]
        parts = source.features(image, items)
        given = (
            torch.from_numpy(to_pixels(read_image(image.path), geometry)).expand(len(parts), -1, -1, -1)
            if rgb
            else torch.stack([part.z for part in parts])
        )
        blocks = {index: torch.stack([part.blocks[index] for part in parts]) for index in parts[0].blocks}
        logits = net(given, torch.stack([part.text for part in parts]), blocks)[:, 0].float()
        probs = logits.reshape(len(phrases), draws, *logits.shape[1:]).mean(dim=1).sigmoid().numpy()
        yield from zip((image,) * len(phrases), phrases, probs, strict=True)


def predictor_maps(predictor: Predictor, samples: SampleSet) -> Maps:
    """The maps of anything that answers phrases: a baseline."""
    for image, phrases in _questions(samples):
        found = predictor.predict(read_image(image.path), sha256_of(image.path), phrases)
        for phrase, answer in zip(phrases, found, strict=True):
            yield image, phrase, answer.prob


def _questions(samples: SampleSet) -> Iterator[tuple[ImageRef, list[str]]]:
    for image, found in samples.by_image().items():
        yield image, list(dict.fromkeys(sample.phrase for sample in found))


def best_threshold(samples: SampleSet, predictor: Predictor) -> float:
    """The threshold of the highest mIoU over `samples`: for what was not trained, and has none of its own."""
    with Evaluation(samples, "the study", protocols=("native",)) as run:
        for image, phrase, prob in predictor_maps(predictor, samples):
            run.update(Answer(ImageKey(image.name), phrase, partial(Prediction, prob)))
        run.report()
    [best] = [
        result.score.at
        for result in run.results
        if (result.score.subset, result.score.metric, result.score.threshold) == ("all", "mIoU", "best")
    ]
    return float(best or 0.0)


def merged(parts: Iterable[tuple[str, Scores]]) -> Scores:
    """Scores of several sets under one roof, each name behind its set's."""
    whole = Scores({}, {}, {})
    for name, part in parts:
        for into, found in zip(_fields(whole), _fields(part), strict=True):
            into.update({f"{name}/{key}": value for key, value in found.items()})
    return whole


def _fields(scores: Scores) -> Sequence[dict]:  # type: ignore[type-arg]
    return scores.numbers, scores.replicates, scores.samples
