"""Which samples a prediction is about: by the image's content, else its name; and by the phrase."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from functools import lru_cache
from pathlib import Path, PurePosixPath

from ldznet_cli.errors import ImageError
from ldznet_cli.evaluation.answer import Answer, ImageKey
from ldznet_cli.samples.coco import SampleSet
from ldznet_cli.samples.images import sha256_of
from ldznet_cli.samples.listing import ImageRef

NO_IMAGE = "image not in the ground truth"
OTHER_IMAGE = "another image of the same name"
NO_PHRASE = "phrase not in the ground truth of its image"


class Matcher:
    """Finds the samples of a prediction. Files are hashed only when they have to be, and once."""

    def __init__(self, samples: SampleSet) -> None:
        self._images = list(dict.fromkeys(samples.images))
        self._by_name = {_composed(image.name): image for image in self._images}
        self._by_tail: dict[str, list[ImageRef]] = defaultdict(list)
        for image in self._images:
            self._by_tail[_composed(PurePosixPath(image.name).name)].append(image)
        self._samples: dict[tuple[ImageRef, str], list[int]] = defaultdict(list)
        for index, sample in enumerate(samples.samples):
            self._samples[sample.image, _composed(sample.phrase)].append(index)
        self._by_content: dict[str, ImageRef] | None = None

    def find(self, answer: Answer) -> list[int] | str:
        """The indices of the samples (several when each annotation is one), or why there are none."""
        image = self._image(answer.image)
        if isinstance(image, str):
            return image
        for words in (answer.phrase, answer.label or ""):
            found = self._samples.get((image, _composed(" ".join(words.split()))))
            if found:
                return found
        return NO_PHRASE

    def _image(self, key: ImageKey) -> ImageRef | str:
        """The name is tried first, since only one file is hashed then; what the content says stands above it."""
        named = self.named(key.name)
        if key.sha256 is None:
            return named or NO_IMAGE
        if named is not None and _digest(named.path) in (key.sha256, None):
            return named
        return self._contents().get(key.sha256) or (NO_IMAGE if named is None else OTHER_IMAGE)

    def named(self, name: str) -> ImageRef | None:
        """By the whole name, else by the file's own name where only one image has it; however accents are written."""
        name = _composed(name)
        if name in self._by_name:
            return self._by_name[name]
        same = self._by_tail.get(PurePosixPath(name).name, [])
        return same[0] if len(same) == 1 else None

    def _contents(self) -> dict[str, ImageRef]:
        if self._by_content is None:
            digests = ((_digest(image.path), image) for image in self._images)
            self._by_content = {digest: image for digest, image in digests if digest is not None}
        return self._by_content


def _composed(text: str) -> str:
    """Letters and their accents as one: macOS writes file names the other way."""
    return unicodedata.normalize("NFC", text)


@lru_cache(maxsize=100_000)
def _digest(path: Path) -> str | None:
    """The content of a ground-truth image; None where the file is not on this machine: then names have to do."""
    try:
        return sha256_of(path)
    except ImageError:
        return None
