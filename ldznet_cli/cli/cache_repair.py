"""What `ldznet cache verify --repair` does: find the LDM and the images of each run that something is wrong with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ldznet_cli.cli import console, feature_options
from ldznet_cli.errors import ImageError

if TYPE_CHECKING:
    from ldznet_cli.features.census import Census
    from ldznet_cli.features.repair import Work
    from ldznet_cli.features.verify import Checked
    from ldznet_cli.ldm import FrozenLDM
    from ldznet_cli.samples.listing import ImageRef


@dataclass(frozen=True)
class Model:
    """The LDM that the user names, and where it computes."""

    ldm: str
    vae: str | None
    device: str
    offline: bool

    def load(self, work: Work) -> FrozenLDM:
        """With the blocks and the arithmetic of a run. Raises WeightsUnavailable, ModelError, UsageError."""
        settings = work.settings
        return feature_options.load_ldm(
            self.ldm, settings.blocks, self.vae, self.device, settings.compute, self.offline
        )


def repair(census: Census, faults: Sequence[Checked], model: Model, images: Sequence[Path]) -> list[Checked]:
    """Make anew what can be; returns which of `faults` are no more. Says what cannot be, and why.

    Raises what loading the LDM and computing raise.
    """
    from ldznet_cli.features.repair import discard, work_of
    from ldznet_cli.features.verify import check

    works, nobody = work_of(census, faults)
    known = _by_content(images) if any(work.images for work in works) else {}
    with console.progress(
        sum(len(work.prompts) + len(work.images) for work in works), "prompts and images"
    ) as shown:
        for work in works:
            _remake(work, model.load(work), census, known, shown)
    gone = set(discard(census.store, (fault.name for fault in nobody)))
    mended = [fault for fault in faults if check(census, fault.name).state == "whole"]
    if mended:
        console.say(f"ldznet: made {len(mended)} objects anew")
    if gone:
        console.say(f"ldznet: took {len(gone)} damaged objects away that no manifest names")
    return [*mended, *(fault for fault in nobody if fault.name in gone)]


def _remake(
    work: Work, ldm: FrozenLDM, census: Census, known: dict[str, ImageRef], shown: console.Progress
) -> None:
    from ldznet_cli.features.mismatch import Wanted
    from ldznet_cli.features.repair import remake, unlike

    run = f"the run {work.run.manifest.name[:12]}"
    wanted = Wanted(ldm.digests, blocks=work.settings.blocks)  # without blocks the UNet may be any, or none
    for field, expected, found in wanted.differences(work.settings)[:1]:
        console.warn(
            f"{run} differs in {field}: --ldm has {expected}, it was made with {found}; name its own --ldm"
        )
        return
    images = work.run.manifest.refs(known)
    lost = [sha256 for sha256 in work.images if sha256 not in images]
    if lost:
        console.warn(f"{run}: {len(lost)} images are not below --images, the first has the SHA-256 {lost[0]}")
    if differs := unlike(work, ldm):
        console.warn(
            f"{run} was made with {differs}: what is made anew agrees with it to 1e-5, not to the last bit"
        )
    for error in remake(work, ldm, census.store, images):
        shown.advance()
        if error is not None:
            console.warn(error)


def _by_content(images: Sequence[Path]) -> dict[str, ImageRef]:
    """Images by the SHA-256 of their files. Raises UsageError for a folder that is not there, NothingToDo."""
    from ldznet_cli.samples.images import list_images

    return dict(_hashed(list_images(images))) if images else {}


def _hashed(refs: Iterable[ImageRef]) -> Iterable[tuple[str, ImageRef]]:
    from ldznet_cli.samples.images import sha256_of

    for ref in refs:
        try:
            yield sha256_of(ref.path), ref
        except ImageError:  # unreadable, so it is none of those that were read
            continue
