"""Making damaged and missing objects anew: the same units, batches and threads as the run that its manifest records.

So what is made is the same to the last byte on the same kind of processor and version of PyTorch, and to 1e-5 (in
float32) elsewhere. An object that no manifest names is nobody's: it is taken away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field

from ldznet_cli.features import compute
from ldznet_cli.features.census import Census, Run
from ldznet_cli.features.filling import Filling, Task
from ldznet_cli.features.key import FeatureSettings, digest
from ldznet_cli.features.store import Store, file_of
from ldznet_cli.features.unit import BATCH, Unit
from ldznet_cli.features.verify import Checked, is_damaged
from ldznet_cli.ldm.frozen import FrozenLDM
from ldznet_cli.samples.listing import ImageRef


@dataclass
class Work:
    """What is to be made of one run: the objects `names`, which are of these prompts and of these images (SHA-256)."""

    run: Run
    names: set[str] = field(default_factory=set)
    prompts: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)

    @property
    def settings(self) -> FeatureSettings:
        """All that decides the values."""
        return self.run.manifest.settings

    def tasks(self, images: Mapping[str, ImageRef]) -> list[Task]:
        """The prompts, and those of the images whose files are known, by SHA-256."""
        found: list[Task] = [(prompt,) for prompt in self.prompts]
        return [
            *found,
            *(self.run.manifest.unit(name, images[name]) for name in self.images if name in images),
        ]


def work_of(census: Census, faults: Iterable[Checked]) -> tuple[list[Work], list[Checked]]:
    """(what is to be made anew, run by run; the faults of objects that no run names).

    An object that several runs name is the oldest one's: it was made in that one's units.
    """
    faulty, found = {fault.name: fault for fault in faults}, []
    for run in reversed(census.runs):
        work = _of_run(run, run.names & faulty.keys())
        if work.names:
            found.append(work)
        for name in work.names:
            del faulty[name]
    return found, list(faulty.values())


def discard(store: Store, names: Iterable[str]) -> list[str]:
    """Take those of these objects away that are still damaged when they are looked at once more; returns which.

    One may have been made anew since it was found, or only looked damaged. Raises CacheUnreachable.
    """
    gone = []
    for name in names:
        if is_damaged(store, name):
            store.place.delete(file_of(name))
            gone.append(name)
    return gone


def remake(work: Work, ldm: FrozenLDM, store: Store, images: Mapping[str, ImageRef]) -> Iterator[str | None]:
    """Make anew what `work` says, as far as its images (by SHA-256) are known: for each prompt and image what went
    wrong, None where nothing did.

    Takes away what is damaged before. Raises ModelError when `ldm` is not the one of the run, and what
    `cache_features` raises.
    """
    arithmetic = work.run.manifest.about.get("arithmetic", {})
    batch, threads = int(arithmetic.get("batch", BATCH)), arithmetic.get("threads")
    worker = Filling(lambda: ldm, work.settings, store, batch, threads)()
    tasks = work.tasks(images)
    discard(store, work.names)
    for task, done in zip(tasks, worker(tasks), strict=True):
        yield f"{task.image.path}: {done.error}" if isinstance(task, Unit) and done.error else None


def _of_run(run: Run, names: Set[str]) -> Work:
    """Which prompts and images of a run these objects are about."""
    work, settings = Work(run), run.manifest.settings
    for sha256 in run.manifest.items if names else ():
        own = {digest(settings.z_key(sha256))}
        for request in run.manifest.unit(sha256).requests:
            own.add(digest(settings.features_key(sha256, request.prompt, request.draw)))
            text = digest(settings.text_key(request.prompt))
            if text in names - work.names:
                work.prompts.append(request.prompt)
                work.names.add(text)
        if own & names:
            work.images.append(sha256)
            work.names |= own & names
    return work


def unlike(work: Work, ldm: FrozenLDM) -> str | None:
    """On what other processor, or with what other PyTorch, the run was made; None when all is the same here."""
    made = work.run.manifest.about.get("arithmetic", {})
    here = compute.arithmetic(ldm, 0)
    return (
        ", ".join(
            f"{name} {made.get(name)}" for name in ("processor", "torch") if made.get(name) != here[name]
        )
        or None
    )
