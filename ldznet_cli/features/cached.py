"""Features out of a cache that `ldznet cache-features` filled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from torch import Tensor

from ldznet_cli.errors import CacheError, CacheMismatch
from ldznet_cli.features.checked_once import CheckedOnce
from ldznet_cli.features.folder import Folder
from ldznet_cli.features.key import Compute, FeatureSettings, Key, Storage
from ldznet_cli.features.locate import place_of
from ldznet_cli.features.manifest import Manifest, joined, read_manifests
from ldznet_cli.features.mismatch import Wanted
from ldznet_cli.features.place import Place
from ldznet_cli.features.read_through import ReadThrough, copy_of
from ldznet_cli.features.source import FeatureItem, SampleFeatures
from ldznet_cli.features.storage import restored
from ldznet_cli.features.store import Store
from ldznet_cli.features.unit import Request, unit_of
from ldznet_cli.ldm.digests import LdmDigests
from ldznet_cli.ldm.noise import DrawPolicy
from ldznet_cli.samples.images import Geometry, ImageRef, sha256_of


class CachedFeatures:
    """A FeatureSource that reads what a finished run left, each object checked to the last bit when it is first read.

    `settings` decide the values, `draws` is how many draws each phrase has, `blocks` which of the stored blocks are
    handed out. Nothing is computed, no weights are needed, and images are only hashed (once), not decoded.
    """

    def __init__(
        self,
        cache: Path | str | Place,
        manifest: Manifest,
        blocks: Sequence[int] | None = None,
        copy: Path | None = None,
        others: Sequence[Manifest] = (),
        tell: Callable[[str], None] | None = None,
    ) -> None:
        place = place_of(cache)
        self.cache, self.manifest = place.shown(), manifest
        self.blocks = tuple(manifest.settings.blocks if blocks is None else sorted(set(blocks)))
        self._others = [other for other in others if self._gives_the_same(other.settings)]
        self._objects = (
            CheckedOnce(place)
            if isinstance(place, Folder)
            else ReadThrough(Store(place), copy or copy_of(self.cache), tell)
        )
        self._sha256: dict[tuple[Path, int, int], str] = {}

    def __repr__(self) -> str:
        return f"CachedFeatures({self.cache!r}, blocks={self.blocks}, draws={self.draws})"

    @classmethod
    def open(
        cls,
        cache: Path | str,
        *,
        copy: Path | None = None,
        ldm_digests: LdmDigests | None = None,
        geometry: Geometry | None = None,
        policy: DrawPolicy | None = None,
        blocks: Sequence[int] | None = None,
        compute: Compute | None = None,
        storage: Storage | None = None,
        images: Sequence[ImageRef] = (),
        tell: Callable[[str], None] | None = None,
    ) -> CachedFeatures:
        """The newest finished run in `cache` that fits everything given; what is None may be as it likes.

        Of several, the newest that holds all of `images`, which are hashed then; where none does, the newest.
        `blocks` may be fewer than were cached; with none at all, `()`, only z and text are compared and read.
        `copy` is the folder that keeps what was read of a cache behind a URL (by default one in the user's cache);
        `tell` is told when it takes no more.
        Raises CacheError when the cache has no finished run, CacheMismatch naming the first field that differs.
        """
        wanted = Wanted(ldm_digests, geometry, policy, blocks, compute, storage)
        place = place_of(cache)
        manifests = read_manifests(place)
        fitting = [manifest for manifest in manifests if not wanted.differences(manifest.settings)]
        if fitting:
            kinds = {manifest.kind: manifest for manifest in reversed(fitting)}  # of each kind the newest
            newest = (one for one in fitting if kinds[one.kind] is one)
            runs = (cls(place, joined(one, manifests), blocks, copy, manifests, tell) for one in newest)
            return cls._holding(images, runs)
        closest = min((wanted.differences(manifest.settings) for manifest in manifests), key=len)
        field, expected, found = closest[0]
        advice = f"run `ldznet cache-features` with what is expected, or use another --cache than {cache}"
        raise CacheMismatch(field, expected, found, advice)

    @classmethod
    def _holding(cls, images: Sequence[ImageRef], runs: Iterator[CachedFeatures]) -> CachedFeatures:
        """`runs` are put together one by one, as they are looked at: it takes a while where there are many shards."""
        first = next(runs)
        for run in chain([first], runs):
            run._sha256 = first._sha256
            if all(run._identity(image) in run.manifest.items for image in images):
                return run
        return first

    @classmethod
    def from_manifest(cls, cache: Path | str) -> CachedFeatures:
        """The newest finished run in `cache`, whatever it is. Raises CacheError when there is none."""
        return cls.open(cache)

    @property
    def settings(self) -> FeatureSettings:
        """All that decided the values."""
        return self.manifest.settings

    @property
    def draws(self) -> int:
        """How many draws each phrase has."""
        return self.manifest.draws

    def phrases(self, image: ImageRef) -> tuple[str, ...]:
        """The phrases that the run cached for this image, by its content; none when it was not in the run."""
        return tuple(self.manifest.items.get(self._identity(image), ()))

    def first_draws(self, image: ImageRef) -> set[str]:
        """The phrases of this image whose first draw is there, whichever run cached it, with whatever draws and
        views."""
        identity = self._identity(image)
        return {phrase for other in self._others for phrase in other.items.get(identity, ())}

    def _gives_the_same(self, other: FeatureSettings) -> bool:
        """Whether objects of a run with these settings are found under the names of this run's."""
        if self.blocks:
            return other == self.settings
        names = [(settings.z_key(""), settings.text_key("")) for settings in (self.settings, other)]
        return names[0] == names[1]

    def features(self, image: ImageRef, items: Sequence[FeatureItem]) -> list[SampleFeatures]:
        """One for each item, float32 on the CPU.

        Raises CacheError when an object is missing (naming image and phrase) or damaged (naming the file).
        """
        sha256 = self._identity(image)
        requests = [unit_of(image, sha256, [item], self.settings.policy).requests[0] for item in items]
        z = self._read(self.settings.z_key(sha256), image, None)["z"] if requests else None
        return [self._sample(image, sha256, request, z) for request in requests if z is not None]

    def _sample(self, image: ImageRef, sha256: str, request: Request, z: Tensor) -> SampleFeatures:
        text = self._read(self.settings.text_key(request.prompt), image, request)["text"]
        blocks = {}
        if self.blocks:
            key = self.settings.features_key(sha256, request.prompt, request.draw)
            found = self._read(key, image, request)
            blocks = {index: found[str(index)] for index in self.blocks}
        return SampleFeatures(z, text, blocks, request.prompt, request.draw.timestep)

    def _read(self, key: Key, image: ImageRef, request: Request | None) -> dict[str, Tensor]:
        try:
            return restored(self._objects.read(key))
        except FileNotFoundError:
            item = request and f", phrase {request.item.phrase!r}, draw {request.item.draw}"
            advice = f"run `ldznet cache-features` with this image and phrase and --cache {self.cache}"
            if request and request.item.draw >= self.draws:
                advice += f" --draws {request.item.draw + 1}"
            what = f"the cache {self.cache} has no {key['kind']} for image {image.name}{item or ''}"
            raise CacheError(f"{what}; {advice}") from None

    def _identity(self, image: ImageRef) -> str:
        try:
            stat = image.path.stat()
        except OSError:
            return sha256_of(image.path)  # which says what is wrong with it
        known = (image.path, stat.st_size, stat.st_mtime_ns)
        if known not in self._sha256:
            self._sha256[known] = sha256_of(image.path)
        return image.view.identity(self._sha256[known])
