"""`make paper`: does what is missing of the study, one JSON after the other, and writes the page of what is there."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ldznet_cli.errors import Interrupted, UsageError
from ldznet_cli.miniature.events import BuildEvent
from ldznet_cli.miniature.paper.jobs import Job, jobs
from ldznet_cli.miniature.paper.material import World
from ldznet_cli.miniature.paper.page import write_page
from ldznet_cli.miniature.paper.results import Result, read_folder, read_results


@dataclass(frozen=True)
class Study:
    """The jobs of `world.protocol`, with their results under `docs/results/<version>/`."""

    world: World
    docs: Path

    @property
    def folder(self) -> Path:
        """Where the results lie."""
        return self._of(self.world.protocol.version)

    def _of(self, version: int) -> Path:
        return self.docs / "results" / str(version)

    def results(self) -> dict[str, Result]:
        """Those that are there."""
        return read_results(self.folder, self.world.protocol)

    def missing(self, names: Sequence[str] = (), tier: int | None = None) -> list[Job]:
        """Jobs without a result, in their order; only those of `names`, or of one tier, where given.

        Jobs on real pictures only where there are some, or when named.
        Raises UsageError for a name that is no job's.
        """
        every = jobs(self.world.protocol)
        unknown = set(names) - {job.name for job in every}
        if unknown:
            listed = ", ".join(job.name for job in every)
            raise UsageError(f"--job: there is no {', '.join(sorted(unknown))}; the jobs are {listed}")
        done = self.results()
        return [
            job
            for job in every
            if job.name not in done and self._asked(job, names) and tier in (None, job.tier)
        ]

    def _asked(self, job: Job, names: Sequence[str]) -> bool:
        return job.name in names if names else self.world.real is not None or not job.real

    def state(self) -> str:
        """How far it is, in words."""
        return f"{len(self.results())} of {len(jobs(self.world.protocol))} runs are done"

    def write_page(self) -> Path:
        """The page of what is there, beside `docs`."""
        earlier = {v: read_folder(self._of(v)) for v in range(1, self.world.protocol.version)}
        return write_page(self.docs, self.results(), self.world.protocol, earlier)

    def run(self, todo: Sequence[Job]) -> Generator[BuildEvent, None, None]:
        """Do these jobs; as each ends, its result and the page are written. Raises Interrupted when told to stop."""
        for number, job in enumerate(todo, 1):
            result = yield from self._job(job)
            result.write(self.folder)
            self.write_page()
            yield BuildEvent("jobs", number, len(todo), f"{job.name} is done")

    def _job(self, job: Job) -> Generator[BuildEvent, None, Result]:
        running = job.run(self.world, self.results())
        while True:
            try:
                event = next(running)
            except StopIteration as end:
                result: Result = end.value
                return result
            yield event
            if self.world.stop():
                running.close()
                raise Interrupted(f"stopped in {job.name}; the same command goes on from there")
