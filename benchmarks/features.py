"""What caching features costs over the bare forward passes, reading them over plain reads, and training from them.

    python benchmarks/features.py [--ldm miniature|FOLDER] [--stages rate,caching,…] [--minutes 12] [--anew]
    python benchmarks/features.py --write-doc

FOLDER is of random_sd.py for Stable Diffusion's size. Two sides of a comparison take turns; medians are of the rounds.
"cpu" is the processor time of all threads, which other programs disturb less than the clock. Each stage is kept in
benchmarks/results/features.json as it ends: run again, the command makes what is missing, and adds rounds to what has
too few; --anew forgets what was measured of the stages. cluster_costs.py makes the tables in docs/cluster.md of it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from rounds import Budget, compare, work_through

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "features.json"
PHRASES = ("lamp", "red tree", "night sky", "small house")
"""Four for each image: PhraseCut has 4.3."""

BLOCKS = dict.fromkeys((5, 7, 8, 9), (1280, 12, 12)) | {6: (1280, 6, 6)}
"""What Stable Diffusion's five give on z of 48x48."""

READ = 200  # objects of Stable Diffusion's size: 314 MB


@dataclass(frozen=True)
class Setting:
    """What is measured on, and how often."""

    ldm: str
    device: str
    threads: int
    budget: Budget
    images: int
    draws: tuple[int, ...]
    batches: tuple[int, ...]
    work: Path
    known: dict[str, Any] = field(default_factory=dict)
    former: dict[str, Any] = field(default_factory=dict)
    """What was measured before of all stages, and of the one at hand."""

    @property
    def rounds(self) -> int:
        return self.budget.rounds

    @cached_property
    def model(self) -> Any:
        import torch

        from ldznet_cli.cli.models import resolve_ldm
        from ldznet_cli.ldm import FrozenLDM

        torch.set_num_threads(self.threads)
        return FrozenLDM.load(resolve_ldm(self.ldm), device=self.device)

    @cached_property
    def asked(self) -> list[tuple[Any, tuple[str, ...]]]:
        from ldznet_cli.samples.images import list_images

        return [(image, PHRASES) for image in list_images([ROOT / "sample_data" / "images"])[: self.images]]

    def plan(self, cache: Path, draws: int = 1) -> Any:
        from ldznet_cli.features import FeatureSettings, Store, plan_cache
        from ldznet_cli.ldm import DrawPolicy
        from ldznet_cli.samples.images import Geometry

        geometry = Geometry("aligned", self.model.default_size)
        settings = FeatureSettings.of(self.model, geometry, DrawPolicy())
        return plan_cache(self.asked, settings, self.model, Store(cache), draws=draws)


def rate(setting: Setting) -> dict[str, Any]:
    """Seconds of a row of the UNet in the best of the batches, of an image's z, of a prompt's text states."""
    import torch

    ldm, side = setting.model, setting.model.default_size
    pixels, text = torch.randn(1, 3, side, side), ldm.encode_text(["a photo of a lamp."])
    tell(f"image, prompt, rows in batches of {setting.batches}")
    found: dict[str, Any] = {
        "image_s": middle_of(setting, lambda: ldm.encode_image(pixels)),
        "prompt_s": middle_of(setting, lambda: ldm.encode_text(["a photo of a lamp."])),
        "row_s_by_batch": {},
    }
    for batch in setting.batches:
        z, texts = torch.randn(batch, 4, side // 8, side // 8), text.expand(batch, -1, -1)
        timesteps = torch.full((batch,), 400, device=ldm.device)
        seconds = middle_of(setting, lambda z=z, texts=texts, t=timesteps: ldm.features(z, texts, t, z))
        found["row_s_by_batch"][str(batch)] = seconds / batch
    best = min(found["row_s_by_batch"], key=found["row_s_by_batch"].__getitem__)
    return found | {"batch": int(best), "row_s": found["row_s_by_batch"][best]}


def middle_of(setting: Setting, call: Callable[[], object]) -> float:
    """The median time of a call: on a CPU processor time by thread, which other programs do not count into."""
    clock = time.process_time if setting.device == "cpu" else time.perf_counter
    times = []
    for turn in range(setting.rounds + 1):
        began = clock()
        call()
        synchronise(setting)
        if turn:
            times.append(clock() - began)
    return median(times) / (setting.threads if setting.device == "cpu" else 1)


def caching(setting: Setting) -> dict[str, Any]:
    """The whole run into an empty folder, against z, text states and features of the same plan, inputs in memory."""
    best, found = (setting.known.get("rate") or rate(setting))["batch"], {}
    for draws in setting.draws:
        tell(name := f"{draws} draws")
        found[name] = caching_of(setting, draws, best, setting.former.get(name))
    return found


def caching_of(setting: Setting, draws: int, batch: int, former: dict[str, Any] | None) -> dict[str, Any]:
    from ldznet_cli.features import Store, cache_features

    inputs, waits = in_memory(setting, draws), [former["waited_share"]] if former else []

    def fill(turn: int) -> None:
        cache = setting.work / f"caching-{draws}-{turn}"
        plan = setting.plan(cache, draws)
        *_, done = cache_features(plan, setting.model, Store(cache), batch=16, threads=setting.threads)
        waits.append(done.waited / done.seconds)

    sides = {"caching": fill, "bare": lambda _: bare(setting, inputs, batch)}
    found = compare(sides, setting.budget, former) | {"rows": len(inputs[2]), "images": setting.images}
    found |= {"waited_share": round(median(waits), 4), "bare_batch": batch}
    return found | {"rows_per_second": round(len(inputs[2]) / found["caching"]["wall_s"], 3)}


def in_memory(setting: Setting, draws: int) -> tuple[list[Any], list[str], list[tuple[int, Any]]]:
    """Pixels, prompts, and (image, request) for each row."""
    from ldznet_cli.samples.images import read_image, to_tensor

    plan = setting.plan(setting.work / "none", draws)
    pixels = [to_tensor(read_image(unit.image.path), plan.settings.geometry) for unit in plan.todo]
    rows = [(number, request) for number, unit in enumerate(plan.todo) for request in unit.requests]
    return pixels, list(plan.prompts), rows


def bare(setting: Setting, inputs: tuple[list[Any], list[str], list[tuple[int, Any]]], batch: int) -> None:
    """A loop of forward passes; results are dropped. Neighbours of one grid share a batch."""
    import torch

    ldm, (pixels, prompts, rows) = setting.model, inputs
    latents = [ldm.encode_image(image)[0] for image in pixels]
    texts = {prompt: ldm.encode_text([prompt])[0] for prompt in prompts}
    while rows:
        shape = latents[rows[0][0]].shape
        part = [row for row in rows[:batch] if latents[row[0]].shape == shape]
        rows = rows[len(part) :]
        z = torch.stack([latents[number] for number, _ in part])
        text = torch.stack([texts[request.prompt] for _, request in part])
        noise = torch.stack([request.draw.noise(tuple(shape)) for _, request in part]).to(ldm.device)
        timesteps = torch.tensor([request.draw.timestep for _, request in part], device=ldm.device)
        ldm.features(z, text, timesteps, noise)
    synchronise(setting)


def synchronise(setting: Setting) -> None:
    import torch

    if setting.device != "cpu":
        torch.cuda.synchronize()


def reading(setting: Setting) -> dict[str, Any]:
    """Objects of Stable Diffusion's size in random order, as training reads them, against the bare bytes.

    "warm": out of the system's memory, from the second epoch on; "first": the same, each object checked, as it is when
    a process first reads it; "cold": from the disk, each checked.
    """
    import torch

    from ldznet_cli.features import Store
    from ldznet_cli.features.checked_once import CheckedOnce
    from ldznet_cli.features.folder import Folder
    from ldznet_cli.features.key import digest
    from ldznet_cli.features.storage import stored

    blocks = {str(index): torch.randn(shape) for index, shape in BLOCKS.items()}
    store, keys = Store(setting.work / "reading"), [{"kind": "features", "number": n} for n in range(READ)]
    for key in keys:
        store.write(key, stored(blocks, "float16"), {})
    paths = [store.path_of(digest(key)) for key in keys]
    order = list(range(READ))
    found: dict[str, Any] = {"objects": READ, "bytes": sum(path.stat().st_size for path in paths)}

    again = CheckedOnce(Folder(setting.work / "reading"))

    def ours(turn: int, reader: CheckedOnce | None) -> None:
        reader = reader or CheckedOnce(again.folder)
        for index in shuffled(order, turn):
            reader.read(keys[index])

    def plain(turn: int) -> None:
        for index in shuffled(order, turn):
            paths[index].read_bytes()

    readers = {"warm": again, "first": None, "cold": None}
    for name, reader in readers.items():
        tell(f"{name}: {READ} objects")
        sides = {"plain reads": plain, "features": partial(ours, reader=reader)}
        prepare = partial(forget, paths) if name == "cold" else lambda: None
        found[name] = compare(sides, setting.budget, setting.former.get(name), prepare=prepare)
    return found


def forget(paths: list[Path]) -> None:
    """Have the system drop its copies of these files."""
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def shuffled(order: list[int], turn: int) -> list[int]:
    return random.Random(turn).sample(order, len(order))


def training(setting: Setting) -> dict[str, Any]:
    """A step of the miniature's LD-ZNet on four samples: its batch out of a cache or from the LDM, and the rest."""
    from ldznet_cli.features import CachedFeatures, LiveFeatures, Store, cache_features, plan_cache
    from ldznet_cli.nets import build_net, for_ldm
    from ldznet_cli.samples.coco import load_coco
    from ldznet_cli.training import processes
    from ldznet_cli.training.config import TrainConfig
    from ldznet_cli.training.dataset import Reader, TrainingSet
    from ldznet_cli.training.learner import Learner

    samples = load_coco(ROOT / "sample_data" / "photos.json").samples[:48]
    cache, ldm = setting.work / "training", setting.model
    settings = setting.plan(setting.work / "none").settings
    asked = [(sample.image, [sample.phrase]) for sample in samples]
    plan = plan_cache(asked, settings, ldm, Store(cache))
    list(cache_features(plan, ldm, Store(cache), batch=16, threads=setting.threads))
    sources = {
        "cached": CachedFeatures.open(cache),
        "live": LiveFeatures(ldm, settings.geometry, settings.policy, batch=1),
    }
    config = TrainConfig(batch=4)
    learner = Learner(build_net(for_ldm(ldm.unet_config, "ldznet")), config, processes.join("cpu"))
    data = {
        name: TrainingSet(samples, Reader(source, settings.geometry), batch=4, seed=0, draws=1)
        for name, source in sources.items()
    }
    fetched: dict[str, list[float]] = {name: [] for name in data}
    stepped: dict[str, list[float]] = {name: [] for name in data}
    for turn in range(2 * setting.rounds + 1):
        tell(f"step {turn} of {2 * setting.rounds}, of each kind")
        for name in list(data) if turn % 2 else list(data)[::-1]:
            began = time.perf_counter()
            batch = data[name][turn]
            middle = time.perf_counter()
            learner.step([batch], 1e-5)
            if turn:
                fetched[name].append(middle - began)
                stepped[name].append(time.perf_counter() - middle)
    result: dict[str, Any] = {
        name: {"batch_s": round(median(fetched[name]), 4), "step_s": round(median(stepped[name]), 4)}
        for name in data
    }
    whole = {name: result[name]["batch_s"] + result[name]["step_s"] for name in data}
    result |= {"ratio_live_to_cached": round(whole["live"] / whole["cached"], 3)}
    return result | {"waits": waits(learner, data["cached"], setting.rounds * 4)}


def waits(learner: Any, data: Any, steps: int) -> dict[str, float]:
    """The share of a step that stands still for its batch, by how many processes read ahead."""
    from torch.utils.data import DataLoader

    found = {}
    for workers in (0, 1):
        tell(f"{steps} steps, {workers} processes reading ahead")
        batches = iter(DataLoader(data, batch_size=None, sampler=range(steps + 2), num_workers=workers))
        waited, began = 0.0, 0.0
        for number in range(steps + 2):
            before = time.perf_counter()
            batch = next(batches)
            if number == 1:  # the first one has had to wait for the process to start
                began, waited = before, 0.0
            waited += time.perf_counter() - before
            learner.step([batch], 1e-5)
        found[str(workers)] = round(waited / (time.perf_counter() - began), 4)
    return found


def workers(setting: Setting) -> dict[str, Any]:
    """The same plan by 1, 2, 4 workers of Ray on this machine, where it has the cores; one thread each."""
    import ray

    from ldznet_cli.cli import feature_options
    from ldznet_cli.features import Store, UnitDone, cache_features
    from ldznet_cli.ray_engine import RayEngine

    ray.init(address="local", num_cpus=os.cpu_count(), include_dashboard=False, log_to_driver=False)
    load = partial(feature_options.load_ldm, setting.ldm, "paper", None, setting.device, "float32", True)
    found: dict[str, Any] = {"cores": os.cpu_count(), "load_average": os.getloadavg()[0]}
    for count in (count for count in (1, 2, 4) if count <= (os.cpu_count() or 1)):
        tell(f"{count} workers")
        cache = setting.work / f"workers-{count}"
        run = cache_features(
            setting.plan(cache), setting.model, Store(cache), batch=16, threads=1, load=load,
            engine=RayEngine(workers=count, gpus_per_worker=0, chunk=1),
        )  # fmt: skip
        times = [time.perf_counter() for event in told(run) if isinstance(event, UnitDone)]
        begun = count  # by then each has its model
        found[str(count)] = round((len(times) - begun) * len(PHRASES) / (times[-1] - times[begun - 1]), 3)
    ray.shutdown()
    return {"rows_per_second": found}


def tell(what: str) -> None:
    print(f"  {what}", file=sys.stderr, flush=True)


def told(run: Any) -> Iterator[Any]:
    with closing(run) as events:
        yield from events


STAGES = {"rate": rate, "caching": caching, "reading": reading, "training": training, "workers": workers}
SD_STAGES = "rate,caching"


def machine(setting: Setting) -> dict[str, Any]:
    import torch

    from ldznet_cli.features.compute import processor

    device = torch.device(setting.device)
    about = {"processor": processor(device), "torch": torch.__version__, "threads": setting.threads}
    return about | {"cores": os.cpu_count(), "system": platform.system()}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ldm", default="miniature")
    parser.add_argument("--size", choices=("miniature", "sd"), help="by default by --ldm")
    parser.add_argument(
        "--stages", help=f"by default {','.join(STAGES)}; of Stable Diffusion's size {SD_STAGES}"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=12, help="no round is begun that would end later")
    parser.add_argument("--anew", action="store_true", help="forget what was measured of these stages")
    parser.add_argument("--images", type=int, help="by default 24, of Stable Diffusion's size 2")
    parser.add_argument(
        "--draws", type=numbers, help="for each of four phrases; by default 1,4, of SD's size 1"
    )
    parser.add_argument(
        "--batches", type=numbers, help="to find the best of; by default 1,2,4,8,16, of SD's size 1,2"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--work", type=Path, help="where to write; by default the system's temporary folder")
    parser.add_argument("--write-doc", action="store_true")
    options = parser.parse_args()
    if options.write_doc:
        from cluster_costs import write_doc

        write_doc(json.loads(RESULTS.read_text("utf-8")))
        return 0
    small = (options.size or ("miniature" if options.ldm == "miniature" else "sd")) == "miniature"
    with TemporaryDirectory(dir=options.work) as work:
        setting = Setting(
            options.ldm,
            options.device,
            options.threads,
            Budget.of(options.rounds, options.minutes),
            options.images or (24 if small else 2),
            options.draws or ((1, 4) if small else (1,)),
            options.batches or ((1, 2, 4, 8, 16) if small else (1, 2)),
            Path(work),
        )
        stages = (options.stages or (",".join(STAGES) if small else SD_STAGES)).split(",")
        measure(f"{'miniature' if small else 'sd'} on {options.device}", stages, setting, anew=options.anew)
    return 0


def measure(where: str, stages: list[str], setting: Setting, *, anew: bool) -> None:
    """The stages that are not whole yet, each into the results as soon as it is there."""
    results = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    known, about = results.get(where, {}), machine(setting)
    known = {stage: found for stage, found in known.items() if not (anew and stage in stages)}

    def former(stage: str) -> dict[str, Any]:
        found = known.get(stage, {})
        return found if found.get("machine") == about else {}

    def run(stage: str) -> dict[str, Any]:
        found = STAGES[stage](replace(setting, known=known, former=former(stage)))
        known[stage] = found | {"machine": about}
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(results | {where: known}, indent=1, sort_keys=True) + "\n", "utf-8")
        return found

    work_through(
        stages,
        setting.budget,
        former=former,
        whole=lambda found: whole(found or {}, setting.rounds),
        run=run,
        about=lambda stage: str(STAGES[stage].__doc__),
    )


def whole(found: dict[str, Any], rounds: int) -> bool:
    """Whether a stage is there, and each comparison in it has its rounds."""
    parts = [part for part in found.values() if isinstance(part, dict) and "ratio_wall" in part]
    return bool(found) and all(
        len(part.get("times", {}).get("wall", {})) and part["rounds"] >= rounds for part in parts
    )


def numbers(text: str) -> tuple[int, ...]:
    """ "1,4" """
    return tuple(int(part) for part in text.split(","))


if __name__ == "__main__":
    sys.exit(main())
