"""Only what nobody needs goes, and nothing while somebody may be writing."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ldznet_cli.errors import CacheError, CacheUnreachable
from ldznet_cli.features import CachedFeatures, FeatureItem
from ldznet_cli.features.census import Census
from ldznet_cli.features.manifest import read_manifests
from ldznet_cli.features.prune import Selection, prune, pruning
from tests.features.conftest import Finished

Files = Callable[[Path], dict[str, bytes]]
DAY = 86400.0


def aged(finished: Finished, seconds: float, now: float = 2e9) -> None:
    """As if all had been written so long before `now`."""
    for path in finished.cache.rglob("*"):
        os.utime(path, (now - seconds, now - seconds))


def stranger(finished: Finished, modified: float) -> Path:
    """An object that no manifest names."""
    path = finished.store.path_of("ee" * 32)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"whatever")
    os.utime(path, (modified, modified))
    return path


def narrower(finished: Finished, modified: float) -> str:
    """A second run over the first phrase of each image alone."""
    [whole] = read_manifests(finished.cache)
    run = replace(whole, items={image: phrases[:1] for image, phrases in whole.items.items()})
    os.utime(run.write(finished.cache), (modified, modified))
    return run.name


def test_what_no_manifest_names_goes_and_nothing_else(finished: Finished, files: Files) -> None:
    before = files(finished.cache)
    extra = stranger(finished, 2e9 - 2 * DAY)
    what = pruning(Census(finished.store), Selection(), now=2e9)
    assert (what.runs, what.objects, what.bytes) == ([], ["ee" * 32], 8)
    assert extra.exists()
    assert list(prune(Census(finished.store), what)) == [extra.relative_to(finished.cache).as_posix()]
    assert files(finished.cache) == before


def test_nothing_goes_while_a_run_may_be_under_way(finished: Finished) -> None:
    aged(finished, 90 * DAY)
    stranger(finished, 2e9 - 100)
    for selection in (Selection(), Selection(older_than=DAY)):
        with pytest.raises(CacheError, match="seems to be under way: its last object is 100 s old"):
            pruning(Census(finished.store), selection, now=2e9)
    assert pruning(Census(finished.store), Selection(), idle=0.0, now=2e9).objects == ["ee" * 32]


def test_what_is_written_after_the_census_is_left_alone(finished: Finished) -> None:
    for manifest in (finished.cache / "manifests").iterdir():
        manifest.unlink()
    aged(finished, 2 * DAY)
    census = Census(finished.store)
    just_written = stranger(finished, 2e9)
    list(prune(census, pruning(census, Selection(), idle=0.0, now=2e9)))
    assert list(finished.store.names()) == [just_written.stem]


def test_old_runs_go_with_what_only_they_name(finished: Finished) -> None:
    aged(finished, 40 * DAY)
    kept = narrower(finished, 2e9 - DAY)
    census = Census(finished.store)
    what = pruning(census, Selection(older_than=30 * DAY), now=2e9)
    removed = list(prune(census, what))
    assert removed[0].startswith("manifests/")
    assert [manifest.name for manifest in read_manifests(finished.cache)] == [kept]
    after = Census(finished.store)
    assert (after.missing, after.unlisted) == ([], [])
    assert 0 < len(after.objects) < len(census.objects)
    cached = CachedFeatures.open(finished.cache)
    [phrase] = cached.phrases(finished.world.images[0])
    assert cached.features(finished.world.images[0], [FeatureItem(phrase, 1)])


def test_an_age_and_a_model_both_hold(finished: Finished) -> None:
    aged(finished, 40 * DAY)
    census, unet = Census(finished.store), finished.world.ldm.digests.unet or ""
    for selection, runs in [
        (Selection(model=finished.world.ldm.name), 1),
        (Selection(model=unet[:8]), 1),
        (Selection(model="another"), 0),
        (Selection(older_than=30 * DAY, model=unet[:8]), 1),
        (Selection(older_than=50 * DAY, model=unet[:8]), 0),
        (Selection(older_than=30 * DAY, model="another"), 0),
    ]:
        what = pruning(census, selection, now=2e9)
        assert len(what.runs) == runs
        assert len(what.objects) == (len(census.objects) if runs else 0)


def test_nothing_goes_while_a_manifest_cannot_be_read(finished: Finished) -> None:
    [manifest] = (finished.cache / "manifests").iterdir()
    manifest.write_text("{")
    with pytest.raises(CacheError, match="nothing is pruned while a manifest cannot be read"):
        pruning(Census(finished.store), Selection(), idle=0.0)


def test_without_any_manifest_all_goes_only_when_that_is_meant(finished: Finished) -> None:
    """A run that was given up, or manifests that are lost: nobody can tell which."""
    for manifest in (finished.cache / "manifests").iterdir():
        manifest.unlink()
    aged(finished, 2 * DAY)
    census = Census(finished.store)
    with pytest.raises(CacheError, match=r"holds no manifest, so all its \d+ objects would go; .*--idle 0s"):
        pruning(census, Selection(), now=2e9)
    assert pruning(census, Selection(), idle=0.0, now=2e9).objects == list(census.objects)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE])
def test_manifests_that_cannot_be_listed_are_not_taken_for_none(
    finished: Finished, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    folder, scandir = finished.cache / "manifests", os.scandir

    def refusing(path: Any) -> Any:
        if str(path) == str(folder):
            raise OSError(number, os.strerror(number), str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(CacheUnreachable, match=f"{folder} cannot be listed "):
        Census(finished.store)


def test_a_run_that_ends_meanwhile_stops_it(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its objects were nobody's when the census was made."""
    from ldznet_cli.features import prune as module

    monkeypatch.setattr(module, "_LOOK", 0.0)
    [manifest] = read_manifests(finished.cache)
    (finished.cache / manifest.file).unlink()
    census = Census(finished.store)
    removing = prune(census, pruning(census, Selection(), idle=0.0))
    next(removing)
    manifest.write(finished.cache)
    with pytest.raises(CacheError, match="has ended meanwhile .*: prune once more"):
        next(removing)
    assert len(list(finished.store.names())) == len(census.objects) - 1
