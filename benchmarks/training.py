"""How fast a training step is, and where its time goes: input, forward, backward, optimiser.

    python benchmarks/training.py [--net ldznet] [--steps 20] [--batch 16] [--dtype float32] [--live]
    python benchmarks/training.py --ldm DIR --gt annotations.json --size 384 --batch 1 --recompute --head-width 1
    python benchmarks/training.py --write-doc

The features of the samples are cached first, in a temporary folder (`--live`: computed in the step). The first two
steps are not counted. Medians over the others; one JSON object on standard output, a table on standard error. Each run
takes the place of the former one like it in benchmarks/results/training.json, which docs/training.md shows.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from documents import write_block

from ldznet_cli.cli import console, models
from ldznet_cli.cli import main as ldznet
from ldznet_cli.cli.material import Ask, gather
from ldznet_cli.miniature.markdown import table
from ldznet_cli.nets import build_net
from ldznet_cli.training import processes
from ldznet_cli.training.config import preset
from ldznet_cli.training.learner import Learner
from ldznet_cli.training.run import Plan, plan

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "training.json"
SAMPLES, DOC = ROOT / "sample_data", ROOT / "docs" / "training.md"
WARM_UP = 2
PHASES = ("input", "forward", "backward", "optimiser")


class Watch:
    """The seconds of each phase of each step."""

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)
        self.steps: list[dict[str, float]] = []

    def begin(self) -> None:
        self.steps.append(dict.fromkeys(PHASES, 0.0))

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.steps[-1][name] += time.perf_counter() - began

    def timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            with self.phase(name):
                result = call(*arguments)
                processes.wait(self.device)
                return result

        return run


def watched(learner: Learner, watch: Watch) -> Learner:
    """The learner, each part of whose step is timed."""
    parts = {"forward": "forward", "backward": "backward", "optimiser": "update"}
    for phase, method in parts.items():
        setattr(learner, method, watch.timed(phase, getattr(learner, method)))
    return learner


def run(planned: Plan, device: str, steps: int) -> tuple[Watch, int]:
    config, data, watch = planned.config, planned.data(), Watch(device)
    net = build_net(planned.net, config.seed).to(device).train()
    learner = watched(Learner(net, config, processes.join(device)), watch)
    for step in range(WARM_UP + steps):
        watch.begin()
        with watch.phase("input"):
            batch = data[step]
        learner.step([batch], config.learning_rate)
        seconds = sum(watch.steps[-1].values())
        print(f"step {step + 1} of {WARM_UP + steps}: {seconds:.2f} s", file=sys.stderr, flush=True)
    return watch, sum(parameter.numel() for parameter in net.parameters())


def planned(options: argparse.Namespace, folder: Path) -> tuple[Plan, str]:
    """The run that `ldznet train` would make of the same options."""
    cache, device = folder / "cache", models.resolve_device(options.device)
    size = [] if options.size is None else ["--size", str(options.size)]
    if not options.live:
        made = [
            "--gt",
            str(options.gt),
            "--ldm",
            options.ldm,
            "--cache",
            str(cache),
            "--device",
            options.device,
        ]
        if ldznet(["cache-features", *made, *size, "--quiet"]) != 0:
            sys.exit(1)
    ask = Ask(
        gt=options.gt, images=None, groups=None, val_gt=None, val_images=None,
        cache=None if options.live else str(cache), cache_copy=None, ldm=models.resolve_ldm(options.ldm),
        ldm_name=options.ldm, vae=None, geometry=None, size=options.size, device=device,
        offline=True, seed=0, crop=None, flip=False,
    )  # fmt: skip
    gathered = gather(ask, options.net, "cross-attention", options.head_width, "random", 0.0)
    changes = {"negatives": 0.0, "precision": options.dtype, "recompute": options.recompute}
    config = preset("miniature", batch=options.batch, **changes)
    return plan(folder / "run", config, gathered.net, "random", gathered.material), device


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--net", choices=("rgbnet", "znet", "ldznet"), default="ldznet")
    parser.add_argument("--ldm", default="miniature")
    parser.add_argument("--gt", type=Path, default=SAMPLES / "photos.json")
    parser.add_argument("--size", type=int, help="as for `ldznet cache-features`")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--head-width", type=int, default=16)
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--recompute", action="store_true")
    parser.add_argument("--live", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument(
        "--write-doc", action="store_true", help="only write the table of OUT into docs/training.md"
    )
    options = parser.parse_args()
    if options.write_doc:
        return write_doc(json.loads(options.out.read_text("utf-8")))
    console.quiet_libraries()
    with tempfile.TemporaryDirectory() as folder:
        made, device = planned(options, Path(folder))
        watch, parameters = run(made, device, options.steps)
    return report(watch, parameters, options)


def report(watch: Watch, parameters: int, options: argparse.Namespace) -> int:
    counted = watch.steps[WARM_UP:]
    medians = {name: statistics.median(step[name] for step in counted) for name in PHASES}
    total = statistics.median(sum(step.values()) for step in counted)
    told = ("net", "size", "batch", "dtype", "head_width", "recompute", "live")
    result = {
        **{name: getattr(options, name) for name in told},
        "parameters": parameters,
        "device": options.device if options.device != "cpu" else f"{torch.get_num_threads()} threads",
        "steps": len(counted),
        "seconds": medians,
        "step": total,
        "samples_per_second": options.batch / total,
    }
    print(f"{options.net}, batch {options.batch}: {options.batch / total:.3g} samples/s", file=sys.stderr)
    for name, seconds in medians.items():
        print(f"{name:10} {1e3 * seconds:9.1f} ms {100 * seconds / total:5.1f} %", file=sys.stderr)
    print(json.dumps(result, sort_keys=True))
    known = json.loads(options.out.read_text("utf-8")) if options.out.is_file() else []
    like = [*told, "parameters", "device"]
    kept = [former for former in known if any(former[name] != result[name] for name in like)]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps([*kept, result], indent=1, sort_keys=True) + "\n", "utf-8")
    return 0


def write_doc(results: list[dict[str, Any]]) -> int:
    """The block of docs/training.md that shows them."""
    header = ["net", "parameters, M", "batch", "precision", "features", "activations", "on", "samples/s"]
    header.append("s a step")
    rows = []
    for found in sorted(results, key=lambda found: (found["parameters"], found["net"], found["batch"])):
        cells = [found["net"], f"{found['parameters'] / 1e6:.1f}", str(found["batch"]), found["dtype"]]
        cells += ["live" if found["live"] else "cached", "computed again" if found["recompute"] else "kept"]
        cells.append(found["device"])
        cells += [f"{found['samples_per_second']:.3g}", f"{found['step']:.3g}"]
        rows.append([*cells, *(f"{100 * found['seconds'][phase] / found['step']:.1f}" for phase in PHASES)])
    made = table([*header, *(f"{phase}, %" for phase in PHASES)], rows)
    write_block(DOC, "speed", made.rstrip("\n"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
