"""How fast 1,000 samples are scored in the clipseg protocol, against comparing each map with each threshold.

    python benchmarks/evaluate.py [--samples 1000] [--size 384]

The opponent is fixed: for each sample and threshold t, `b = p > t; tp = (b & m).sum(); fp = (b & ~m).sum()`, nothing
else, on float32 maps and bool masks in memory. Both sides see the same maps, turn about on one core, and have to find
the same counts. Ours also computes the protocol: per-sample IoU, sums, intervals, and at the end every number.
Maps come in batches that are made between the timings, so that memory is what scoring takes, not what the maps take.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np

from ldznet_cli.metrics import THRESHOLDS, ClipSeg, Prediction, Truth, count

BATCH = 20

Sample = tuple[np.ndarray, np.ndarray]
Result = TypeVar("Result")


def batches(samples: int, size: int) -> Iterator[list[Sample]]:
    """Smooth maps as networks give them, and masks that agree with them most of the time."""
    random = np.random.default_rng(0)
    for start in range(0, samples, BATCH):
        yield [made(random, size) for _ in range(min(BATCH, samples - start))]


def made(random: np.random.Generator, size: int) -> Sample:
    coarse = random.normal(-1, 3, (size // 16 + 1, size // 16 + 1))
    logits = np.kron(coarse, np.ones((16, 16)))[:size, :size] + random.normal(0, 1, (size, size))
    prob = (1 / (1 + np.exp(-logits))).astype(np.float32)
    return prob, random.random((size, size)) < prob


def opponent(batch: list[Sample]) -> np.ndarray:
    """(samples, 2, 49): TP and FP."""
    found = []
    for p, m in batch:
        rows = []
        for t in THRESHOLDS:
            b = p > t
            tp = (b & m).sum()
            fp = (b & ~m).sum()
            rows.append((tp, fp))
        found.append(np.array(rows).T)
    return np.array(found)


def ours(batch: list[Sample], scorer: ClipSeg, first: int) -> None:
    """One image has about six phrases (PhraseCut's test set: 14,354 in 2,545)."""
    for place, (p, m) in enumerate(batch, first):
        scorer.update(Truth(m, image=str(place // 6)), Prediction(p))


def timed(call: Callable[..., Result], *arguments: object) -> tuple[float, Result]:
    """Processor time: other programs on the machine do not count."""
    began = time.process_time()
    result = call(*arguments)
    return time.process_time() - began, result


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--size", type=int, default=384)
    options = parser.parse_args()
    scorers = {
        "clipseg, 49 thresholds": ClipSeg(options.size),
        "the same with the exact AP": ClipSeg(options.size, exact_ap=True),
    }
    seconds = dict.fromkeys(["opponent", *scorers], 0.0)
    equal, first = True, 0
    for batch in batches(options.samples, options.size):
        spent, found = timed(opponent, batch)
        seconds["opponent"] += spent
        for name, scorer in scorers.items():
            seconds[name] += timed(ours, batch, scorer, first)[0]
        counts = [count(p, m) for p, m in batch]
        equal &= np.array_equal(found, [[c.tp, c.fp] for c in counts])
        first += len(batch)
    for name, scorer in scorers.items():
        seconds[name] += timed(scorer.compute)[0]
    return report(seconds, equal, options.samples, options.size)


def report(seconds: dict[str, float], equal: bool, samples: int, size: int) -> int:
    """Exit code 1 when the counts differ, or less than 10 times as fast, or 300 MB and more."""
    print(f"{samples} samples of {size}x{size}, one core")
    for name, spent in seconds.items():
        print(
            f"{name:30} {spent:7.2f} s {1e3 * spent / samples:7.3f} ms a sample {seconds['opponent'] / spent:6.1f} x"
        )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    print(f"counts {'equal' if equal else 'DIFFER'}; peak memory {memory:.0f} MB, maps and imports included")
    return int(not equal or seconds["opponent"] < 10 * seconds["clipseg, 49 thresholds"] or memory >= 300)


if __name__ == "__main__":
    sys.exit(main())
