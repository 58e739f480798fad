"""What is damaged or missing comes back to the last byte; what is nobody's goes."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ldznet_cli.errors import CacheUnreachable, ModelError
from ldznet_cli.features.census import Census
from ldznet_cli.features.manifest import read_manifests
from ldznet_cli.features.repair import discard, remake, unlike, work_of
from ldznet_cli.features.verify import verify
from ldznet_cli.ldm import FrozenLDM
from ldznet_cli.samples.images import sha256_of
from tests.features.conftest import Finished
from tests.features.test_verify import failing

Files = Callable[[Path], dict[str, bytes]]


def repaired(finished: Finished) -> list[str | None]:
    census = Census(finished.store)
    works, nobody = work_of(census, [checked for checked in verify(census) if checked.fault])
    assert nobody == []
    images = {sha256_of(image.path): image for image in finished.world.images}
    return [error for work in works for error in remake(work, finished.world.ldm, finished.store, images)]


@pytest.mark.parametrize("kind", ["z", "text", "features"])
def test_one_of_each_kind_comes_back_to_the_last_byte(finished: Finished, files: Files, kind: str) -> None:
    for path, data in zip(finished.of_kind(kind), (b"", None, b"half"), strict=False):
        path.unlink()
        if data is not None:
            path.write_bytes(data)
    assert set(repaired(finished)) == {None}
    assert files(finished.cache) == files(finished.pristine)


def test_all_at_once_and_no_other_file_is_touched(finished: Finished, files: Files) -> None:
    (finished.cache / "failed.jsonl").write_text("of another run\n")
    for path in (finished.cache / "objects").rglob("*.safetensors"):
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
    repaired(finished)
    after = files(finished.cache)
    assert after.pop("failed.jsonl") == b"of another run\n"
    assert after == files(finished.pristine)


def test_an_object_of_several_runs_is_made_in_the_oldest_one_s_batches(finished: Finished) -> None:
    [old] = read_manifests(finished.cache)
    newer = replace(old, items={image: phrases[:1] for image, phrases in old.items.items()})
    path = Path(newer.write(finished.cache))
    os.utime(path, (2e9, 2e9))
    census = Census(finished.store)
    finished.of_kind("features")[0].unlink()
    [work], _ = work_of(census, [checked for checked in verify(census) if checked.fault])
    assert work.run.manifest.name == old.name


def test_an_image_that_cannot_be_read_any_more_is_said(finished: Finished, tmp_path: Path) -> None:
    finished.of_kind("z")[0].unlink()
    census = Census(finished.store)
    [work], _ = work_of(census, [checked for checked in verify(census) if checked.fault])
    changed = replace(finished.world.images[0], path=tmp_path / "changed.png")
    changed.path.write_bytes(finished.world.images[1].path.read_bytes() + b"x")
    errors = list(remake(work, finished.world.ldm, finished.store, dict.fromkeys(work.images, changed)))
    assert [str(changed.path) in str(error) for error in errors] == [True]


def test_another_ldm_is_refused_and_nothing_is_taken_away(finished: Finished, tmp_path: Path) -> None:
    from tests.tiny import tiny_ldm as build

    damaged = finished.of_kind("text")[0]
    damaged.write_bytes(b"half")
    census = Census(finished.store)
    [work], _ = work_of(census, [checked for checked in verify(census) if checked.fault])
    with pytest.raises(ModelError, match="other weights"):
        list(remake(work, FrozenLDM.load(build(tmp_path / "other", seed=1)), finished.store, {}))
    assert damaged.read_bytes() == b"half"


def test_another_processor_is_named(finished: Finished) -> None:
    census = Census(finished.store)
    finished.of_kind("z")[0].unlink()
    [work], _ = work_of(census, [checked for checked in verify(census) if checked.fault])
    assert unlike(work, finished.world.ldm) is None
    work.run.manifest.about["arithmetic"]["processor"] = "abacus"
    assert unlike(work, finished.world.ldm) == "processor abacus"


def test_only_what_is_still_damaged_when_looked_at_again_is_taken_away(finished: Finished) -> None:
    damaged, mended = finished.of_kind("text")[:2]
    damaged.write_bytes(b"half")
    assert discard(finished.store, [damaged.stem, mended.stem, "ee" * 32]) == [damaged.stem]
    assert (damaged.exists(), mended.exists()) == (False, True)


def test_nothing_is_taken_away_that_cannot_be_reached(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = finished.of_kind("text")[0]
    failing(monkeypatch, path, errno.ETIMEDOUT)
    with pytest.raises(CacheUnreachable, match="cannot be read"):
        discard(finished.store, [path.stem])
    assert path.exists()
