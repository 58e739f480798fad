"""How fast images become masks at Stable Diffusion's size, where the time goes, and how much memory it takes.

    python benchmarks/random_sd.py sd
    python benchmarks/inference.py --sd sd --image photo.jpg [--taesd DIR] [--stages one,cut,…] [--minutes 12] [--anew]
    python benchmarks/inference.py --write-doc

Two sides of a comparison take turns, first one and then the other in front, so that whatever else the machine does
meets both; the medians are of the rounds. "cpu" is the processor time of all threads, which other programs disturb
less than the clock. Each round is kept in the JSON file as it ends: run again, the command adds what is missing, stage
by stage, until every stage has its rounds; --anew forgets what was measured of the stages. docs/speed.md shows it.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from rounds import Budget, Run, compare, work_through

ROOT = Path(__file__).resolve().parent.parent
RESULTS, DOC = ROOT / "benchmarks" / "results" / "inference.json", ROOT / "docs" / "speed.md"


@dataclass(frozen=True)
class Setting:
    """What is measured on, and how often."""

    sd: Path
    image: Path
    taesd: Path | None
    budget: Budget
    phrases: int
    former: dict[str, Any] | None = None

    def compare(self, sides: dict[str, Run], *, warm: bool = False) -> dict[str, Any]:
        """What was measured of this stage before, with what there is time to add."""
        return compare(sides, self.budget, self.former, warm=warm)


def one(setting: Setting) -> dict[str, Any]:
    """One phrase on one image, from pixels to probabilities: diffusers' plain modules against ours."""
    from plain_pipeline import PlainPipeline

    plain, ours = PlainPipeline(setting.sd), predictor_of(setting)
    image = picture(setting)
    sides: dict[str, Run] = {
        "plain diffusers": lambda turn: plain.predict(image, f"dog {turn}"),
        "ours": lambda turn: ours.predict(image, "0" * 64, [f"dog {turn}"]),
    }
    return setting.compare(sides)


def cut(setting: Setting) -> dict[str, Any]:
    """The frozen UNet to its last injected block, against its whole forward pass, both ours, at 48x48."""
    import torch

    from ldznet_cli.ldm import FrozenLDM
    from ldznet_cli.nets import read_info

    whole, cut_short = (FrozenLDM.load(setting.sd / "ldm", blocks=blocks) for blocks in (None, "paper"))
    side = read_info(setting.sd / "net").geometry["size"] // 8
    z, noise = torch.randn(2, 1, 4, side, side)
    text = whole.encode_text(["a photo of a dog."])
    sides: dict[str, Run] = {
        "whole": lambda _: whole.predict_noise(z, text, 400),
        "cut": lambda _: cut_short.features(z, text, 400, noise),
    }
    found, expected = cut_short.features(z, text, 400, noise), whole.features(z, text, 400, noise)
    equal = all(torch.equal(found[index], expected[index]) for index in found)
    return setting.compare(sides) | {"features_equal": equal}


def many(setting: Setting) -> dict[str, Any]:
    """Phrases on one image: a call for each, z encoded anew, against one call for all."""
    ours, image = predictor_of(setting), picture(setting)

    def names(turn: int) -> list[str]:
        return [f"dog {turn} {number}" for number in range(setting.phrases)]

    sides: dict[str, Run] = {
        "a call each": lambda turn: [ours.predict(image, "0" * 64, [name]) for name in names(turn)],
        "one call": lambda turn: ours.predict(image, "0" * 64, names(turn)),
    }
    ours.predict(image, "0" * 64, ["dog"])
    return setting.compare(sides, warm=True) | {"phrases": setting.phrases}


def taesd(setting: Setting) -> dict[str, Any]:
    """One phrase with SD's own first stage, against TAESD's; and how far the probabilities agree."""
    import torch

    from ldznet_cli.ldm.first_stage import FirstStage

    assert setting.taesd is not None
    ours, image = predictor_of(setting), picture(setting)
    own, other = ours.ldm.first_stage, FirstStage.load(setting.taesd, torch.device("cpu"), torch.float32)

    def predict(first_stage: FirstStage, phrase: str) -> Any:
        ours.ldm.first_stage = first_stage  # so that the other weights need not be in memory twice
        return ours.predict(image, "0" * 64, [phrase])[0].prob

    sides: dict[str, Run] = {
        "SD's autoencoder": lambda turn: predict(own, f"dog {turn}"),
        "TAESD": lambda turn: predict(other, f"dog {turn}"),
    }
    difference = float(abs(predict(own, "dog") - predict(other, "dog")).max())
    return setting.compare(sides) | {"largest_difference_of_probabilities": difference}


def bf16(setting: Setting) -> dict[str, Any]:
    """One phrase in float32 against bfloat16."""
    import torch

    image = picture(setting)
    exact, half = predictor_of(setting), predictor_of(setting, dtype=torch.bfloat16)
    sides: dict[str, Run] = {
        "float32": lambda turn: exact.predict(image, "0" * 64, [f"dog {turn}"]),
        "bfloat16": lambda turn: half.predict(image, "0" * 64, [f"dog {turn}"]),
    }
    return setting.compare(sides)


def masks(_: Setting) -> dict[str, Any]:
    """IoU at threshold 0.5 of float32's and bfloat16's masks: the bundled trained miniature on `sample_data`."""
    import torch

    from ldznet_cli.inference.api import load_predictor
    from ldznet_cli.samples.coco import load_coco
    from ldznet_cli.samples.images import read_image, sha256_of

    exact, half = load_predictor(), load_predictor(dtype=torch.bfloat16)
    ious = []
    for ref, samples in load_coco(ROOT / "sample_data" / "aigi.json").by_image().items():
        image, digest, phrases = read_image(ref.path), sha256_of(ref.path), [s.phrase for s in samples]
        for a, b in zip(*(side.predict(image, digest, phrases) for side in (exact, half)), strict=True):
            x, y = a.prob > 0.5, b.prob > 0.5
            if (union := (x | y).sum()) > 0:
                ious.append(float((x & y).sum() / union))
    return {
        "masks": len(ious),
        "mean_iou": round(sum(ious) / len(ious), 4),
        "lowest_iou": round(min(ious), 4),
    }


def profile(setting: Setting) -> dict[str, Any]:
    """Each stage's seconds beside its floor: FLOPs over the fastest matrix product that was seen on this machine."""
    import torch
    from costs import flops_of, matrix_rate, stages_of

    result: dict[str, Any] = {}
    for dtype in (torch.float32, torch.bfloat16):
        name = str(dtype).removeprefix("torch.")
        predictor = predictor_of(setting, dtype=dtype)
        stages, flops = stages_of(predictor, picture(setting)), flops_of(setting.sd)
        wall: dict[str, list[float]] = {stage: [] for stage in stages}
        rates, rounds = [matrix_rate(dtype)], 0
        for rounds in range(1, setting.budget.rounds + 1):
            for stage, run in stages.items():
                began = time.perf_counter()
                run()
                wall[stage].append(time.perf_counter() - began)
            rates.append(matrix_rate(dtype))
            print(f"  {name}: round {rounds}", file=sys.stderr, flush=True)
            if setting.budget.left() < 0:
                break
        rate = max(rates)
        result[name] = {"gflops_per_s": round(rate / 1e9, 1), "rounds": rounds, "stages": {}}
        for stage, times in wall.items():
            floor, seconds = flops[stage] / rate, median(times)
            row = {
                "gflop": round(flops[stage] / 1e9, 1),
                "floor_s": round(floor, 3),
                "wall_s": round(seconds, 3),
            }
            result[name]["stages"][stage] = row | {"times_the_floor": round(seconds / floor, 2)}
        del predictor, stages
        gc.collect()
    return result | {"load_average": os.getloadavg()[0]}


def memory(setting: Setting) -> dict[str, Any]:
    """`ldznet segment` in a process of its own: its peak, and its anonymous memory over the weights in use.

    Beside it what the imported libraries hold by themselves, before anything is loaded.
    """
    from costs import libraries, peak_of_segment, weights_in_use

    imported, result = libraries(), {}
    for dtype, size in (("float32", 4), ("bfloat16", 2)):
        weights = weights_in_use(setting.sd) * size
        peak, anonymous = peak_of_segment(setting.sd / "net", setting.image, dtype)
        result[dtype] = {
            "weights_mb": weights // 10**6,
            "peak_mb": peak // 10**6,
            "anonymous_mb": anonymous // 10**6,
            "libraries_mb": imported // 10**6,
            "anonymous_over_weights": round(anonymous / weights, 3),
        }
    return result


STAGES: dict[str, Callable[[Setting], dict[str, Any]]] = {
    stage.__name__: stage for stage in (memory, one, cut, bf16, taesd, masks, profile, many)
}


def predictor_of(setting: Setting, **more: Any) -> Any:
    """What `ldznet segment` loads for this net."""
    from ldznet_cli.inference.api import load_predictor

    return load_predictor(setting.sd / "net", setting.sd / "ldm", **more)


def picture(setting: Setting) -> Any:
    """The photograph."""
    from ldznet_cli.samples.images import read_image

    return read_image(setting.image)


def processor_name() -> str:
    """As the system calls it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.processor()


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--sd", type=Path, help="the folder that random_sd.py made; the true weights in its layout"
    )
    parser.add_argument("--image", type=Path, help="a photograph")
    parser.add_argument("--taesd", type=Path, help="a folder with TAESD, for the stage of that name")
    parser.add_argument("--stages", default=",".join(STAGES), help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=12, help="no round is begun that would end later")
    parser.add_argument("--anew", action="store_true", help="forget what was measured of these stages")
    parser.add_argument("--phrases", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument(
        "--write-doc", action="store_true", help="only write the table of OUT into docs/speed.md"
    )
    options = parser.parse_args()
    if not options.write_doc:
        stages = [stage for stage in options.stages.split(",") if stage != "taesd" or options.taesd]
        if unknown := set(stages) - set(STAGES):
            parser.error(f"unknown stages: {', '.join(sorted(unknown))}; there are {', '.join(STAGES)}")
        if options.sd is None or options.image is None:
            parser.error("--sd and --image are needed")
        measure(options, stages)
    from documents import write_block
    from speed_tables import tables

    results = json.loads(options.out.read_text("utf-8"))
    print(tables(results))
    if options.write_doc:
        write_block(DOC, "results", tables(results))
    return 0


def measure(options: argparse.Namespace, stages: list[str]) -> None:
    """Runs the stages that are not whole yet, each result into the file as soon as it is there."""
    os.environ["OMP_NUM_THREADS"] = str(options.threads)  # before torch
    import torch

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    budget = Budget.of(options.rounds, options.minutes)
    setting = Setting(options.sd, options.image, options.taesd, budget, options.phrases)
    machine = {"processor": processor_name(), "threads": options.threads, "torch": torch.__version__}
    known = json.loads(options.out.read_text("utf-8")) if options.out.is_file() else {}
    if known.get("machine") != machine:
        known = {"machine": machine, "stages": {}}
    for stage in stages if options.anew else ():
        known["stages"].pop(stage, None)

    def run(stage: str) -> dict[str, Any]:
        with torch.inference_mode():
            found = STAGES[stage](replace(setting, former=known["stages"].get(stage)))
        gc.collect()
        known["stages"][stage] = found
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(known, indent=2) + "\n", "utf-8")
        return found

    work_through(
        stages,
        budget,
        former=known["stages"].get,
        whole=lambda found: whole(found, options.rounds),
        run=run,
        about=lambda stage: str(STAGES[stage].__doc__),
    )


def whole(found: dict[str, Any] | None, rounds: int) -> bool:
    """Whether a stage needs no more rounds; those that are no comparison are whole when they are there."""
    return found is not None and (
        found.get("rounds", rounds) >= rounds and ("times" in found or "rounds" not in found)
    )


if __name__ == "__main__":
    sys.exit(main())
