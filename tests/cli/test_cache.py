"""`ldznet cache …` as its user meets it: in a folder and on S3, sound and spoilt."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ldznet_cli.cli import main
from ldznet_cli.features import Store
from ldznet_cli.features.locate import place_of
from ldznet_cli.features.manifest import read_manifests
from tests.training.world import squares

SMALL = ["--head-width", "2", "--batch", "4", "--steps", "2", "--preset", "miniature", "--device", "cpu"]


@dataclass(frozen=True)
class Data:
    gt: Path
    images: Path
    cache: Path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, tiny_ldm: Path) -> Data:
    """A data set, and a cache of it that is not to be written to."""
    folder = tmp_path_factory.mktemp("data")
    gt = squares(folder / "set", count=6).path
    cache = folder / "cache"
    assert fill(gt, tiny_ldm, str(cache)) == 0
    return Data(gt, gt.parent / "images", cache)


@pytest.fixture
def cache(data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that cache, in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    return shutil.copytree(data.cache, Path("cache"))


def fill(gt: Path, ldm: Path, cache: str, *more: str) -> int:
    options = ["--ldm", str(ldm), "--size", "64", "--device", "cpu", "--threads", "1", "--cache", cache]
    return main(["cache-features", "--gt", str(gt), *options, *more])


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """`run(arguments…)` → (exit code, standard output, standard error)."""

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


Run = Callable[..., tuple[int, str, str]]


def contents(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def damage(cache: Path, how: str, kind: str = "features") -> Path:
    store = Store(cache)
    path = next(store.path_of(name) for name in store.names() if store.kind_of(name) == kind)
    data = bytearray(path.read_bytes())
    data[-3] ^= 16
    path.write_bytes({"truncated": data[:-5], "bit-flipped": data, "zero-length": b""}[how])
    return path


@pytest.mark.parametrize("how", ["truncated", "bit-flipped", "zero-length"])
def test_a_damaged_object_is_found_refused_and_mended(
    cache: Path, data: Data, tiny_ldm: Path, run: Run, how: str
) -> None:
    path = damage(cache, how)
    train = ["train", "--gt", data.gt, "--ldm", tiny_ldm, *SMALL, "--negatives", "0", "--cache", cache]
    code, _, err = run(*train, "--out", "run")
    assert code == 1
    assert f"{path} is damaged" in err.splitlines()[-1]
    assert f"`ldznet cache verify {cache} --repair` makes it anew" in err.splitlines()[-1]
    code, out, err = run("cache", "verify", cache)
    assert code == 1
    assert [line.partition(": ")[0] for line in out.splitlines()] == [str(path)]
    assert "1 objects are damaged or missing in cache; `ldznet cache verify cache --repair --ldm" in err
    code, out, err = run("cache", "verify", cache, "--repair", "--ldm", tiny_ldm, "--images", data.images)
    assert (code, out) == (0, "")
    assert "made 1 objects anew" in err
    assert contents(cache) == contents(data.cache)
    assert run("cache", "verify", cache)[0] == 0
    assert run(*train, "--out", "run")[0] == 0


@pytest.mark.usefixtures("cache")
def test_views_of_images_are_mended_too(data: Data, tiny_ldm: Path, run: Run) -> None:
    assert fill(data.gt, tiny_ldm, "views", "--views", "2", "--crop", "0.6", "--flip") == 0
    whole, store = contents(Path("views")), Store(Path("views"))
    [manifest] = read_manifests("views")
    assert len(manifest.items) > len(manifest.seen) == 6
    for name in list(store.names()):
        store.path_of(name).write_bytes(b"")
    repair = ["cache", "verify", "views", "--repair", "--ldm", tiny_ldm, "--images", data.images]
    assert run(*repair)[:2] == (0, "")
    assert contents(Path("views")) == whole


def test_verify_tells_programs(cache: Path, data: Data, tiny_ldm: Path, run: Run) -> None:
    path = damage(cache, "truncated", "z")
    code, out, _ = run("cache", "verify", cache, "--json")
    found = json.loads(out)
    assert code == 1
    assert [(fault["object"], fault["kind"], fault["state"]) for fault in found["faults"]] == [
        (str(path), "z", "damaged")
    ]
    options = ["--repair", "--ldm", tiny_ldm, "--images", data.images, "--json"]
    code, out, _ = run("cache", "verify", cache, *options)
    assert (code, json.loads(out)["faults"], len(json.loads(out)["mended"])) == (0, [], 1)


def test_prompts_are_mended_without_any_image(cache: Path, data: Data, tiny_ldm: Path, run: Run) -> None:
    damage(cache, "zero-length", "text")
    assert run("cache", "verify", cache, "--repair", "--ldm", tiny_ldm)[0] == 0
    assert contents(cache) == contents(data.cache)


def test_what_cannot_be_mended_is_said(cache: Path, data: Data, tiny_ldm: Path, run: Run) -> None:
    from tests.tiny import tiny_ldm as build

    path = damage(cache, "truncated")
    code, out, err = run("cache", "verify", cache, "--repair", "--ldm", tiny_ldm)
    assert code == 1
    assert "1 images are not below --images, the first has the SHA-256 " in err
    assert str(path) in out
    other = build(Path("other"), seed=1)
    code, _, err = run("cache", "verify", cache, "--repair", "--ldm", other, "--images", data.images)
    assert code == 1
    assert "differs in the LDM's first_stage: --ldm has " in err
    assert run("cache", "verify", cache, "--repair", "--ldm", tiny_ldm, "--images", data.images)[0] == 0
    assert contents(cache) == contents(data.cache)


def test_damage_that_is_nobody_s_is_taken_away(cache: Path, data: Data, tiny_ldm: Path, run: Run) -> None:
    for manifest in (cache / "manifests").iterdir():
        manifest.unlink()
    path = damage(cache, "bit-flipped")
    code, _, err = run("cache", "verify", cache, "--repair", "--ldm", tiny_ldm)
    assert code == 0
    assert "took 1 damaged objects away that no manifest names" in err
    assert not path.exists()
    assert fill(data.gt, tiny_ldm, str(cache)) == 0
    assert contents(cache) == contents(data.cache)


def test_a_broken_manifest_is_a_fault(cache: Path, run: Run) -> None:
    [manifest] = (cache / "manifests").iterdir()
    manifest.write_text("{")
    code, out, err = run("cache", "verify", cache)
    assert code == 1
    assert f"the manifest {manifest} cannot be read" in out
    assert "1 manifests cannot be read in cache" in err


def test_info(cache: Path, run: Run) -> None:
    code, out, err = run("cache", "info", cache)
    assert (code, err) == (0, "")
    for word in ("z", "text", "features", "aligned 64", "float16", "300:500", "random"):
        assert word in out
    code, out, _ = run("cache", "info", cache, "--json")
    found: dict[str, Any] = json.loads(out)
    assert code == 0
    assert found["objects"]["z"]["count"] == found["runs"][0]["images"] == 6
    assert found["runs"][0]["missing"] == 0


def test_prune(cache: Path, data: Data, run: Run) -> None:
    loose = Store(cache).path_of("ee" * 32)
    loose.parent.mkdir(exist_ok=True)
    loose.write_bytes(b"whatever")
    code, _, err = run("cache", "prune", cache)
    assert code == 1
    assert "seems to be under way" in err
    code, _, err = run("cache", "prune", cache, "--idle", "0s", "--dry-run")
    assert (code, loose.exists()) == (0, True)
    assert "would take away 1 objects (0.0 kB) and 0 manifests" in err
    code, out, _ = run("cache", "prune", cache, "--idle", "0s", "--json")
    assert code == 0
    assert json.loads(out) == {
        "cache": "cache",
        "manifests": [],
        "objects": 1,
        "bytes": 8,
        "dry_run": False,
    }
    assert contents(cache) == contents(data.cache)
    assert "nothing to prune" in run("cache", "prune", cache)[2]
    assert "nothing to prune" in run("cache", "prune", cache, "--older-than", "1d")[2]
    for path in cache.rglob("*"):
        os.utime(path, (1e9, 1e9))
    code, out, err = run("cache", "prune", cache, "--older-than", "52w", "--made-with", "ldm")
    assert code == 0
    assert out.startswith("manifest ")
    assert contents(cache) == {}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["info", "none"], 1, "the cache none is not there"),
        (["verify", "none"], 1, "the cache none is not there"),
        (["prune", "none"], 1, "the cache none is not there"),
        (["prune", "cache", "--older-than", "yesterday"], 2, "--older-than 'yesterday': expected a number"),
        (["prune", "cache", "--idle", "5"], 2, "--idle '5': expected a number and a unit"),
        (["info", "nonsense://a/b"], 2, "nonsense:// cannot be read here"),
        (["verify", "cache", "--images", "none", "--repair"], 2, "none does not exist"),
    ],
)
def test_bad_input_is_one_line(
    cache: Path, run: Run, tiny_ldm: Path, arguments: list[str], code: int, message: str
) -> None:
    damage(cache, "truncated")
    more = ["--ldm", tiny_ldm] if "--repair" in arguments else []
    found, out, err = run("cache", *arguments, *more)
    assert (found, out) == (code, "")
    assert message in err.splitlines()[-1]
    assert err.count("\n") == 1


def test_the_bare_command_tells_what_there_is(run: Run) -> None:
    code, out, _ = run("cache")
    assert code == 0
    assert all(word in out for word in ("info", "verify", "prune"))


def test_a_cache_on_s3_is_the_same_cache(
    bucket: str, cache: Path, data: Data, tiny_ldm: Path, run: Run
) -> None:
    """Filled, resumed, trained from (in a worker process too), verified, mended and pruned over HTTP."""
    url = f"{bucket}/features"
    assert fill(data.gt, tiny_ldm, url) == 0
    place = place_of(url)
    names = [entry.name for folder in ("objects", "manifests") for entry in place.entries(folder)]
    assert {name: bytes(place.read(name)) for name in names} == contents(data.cache)
    code, _, err = run(
        *["cache-features", "--gt", data.gt, "--ldm", tiny_ldm, "--size", "64", "--cache", url]
    )
    assert (code, "nothing to do" in err) == (0, True)
    train = ["train", "--gt", data.gt, "--ldm", tiny_ldm, *SMALL, "--negatives", "0"]
    assert run(*train, "--cache", url, "--cache-copy", "copy", "--workers", "1", "--out", "far")[0] == 0
    assert 0 < len(list(Store("copy").names())) <= len(list(Store(data.cache).names()))
    assert run(*train, "--cache", data.cache, "--out", "near")[0] == 0
    assert (Path("far") / "model.safetensors").read_bytes() == (
        Path("near") / "model.safetensors"
    ).read_bytes()
    damaged = next(name for name in names if Store(url).kind_of(Path(name).stem) == "features")
    place.write(damaged, bytes(place.read(damaged))[:-1])
    place.delete(next(name for name in names if name.startswith("objects/") and name != damaged))
    code, out, _ = run("cache", "verify", url)
    assert (code, out.count(f"{url}/objects/")) == (1, 2)
    assert run("cache", "verify", url, "--repair", "--ldm", tiny_ldm, "--images", data.images)[0] == 0
    assert {name: bytes(place.read(name)) for name in names} == contents(data.cache)
    assert json.loads(run("cache", "info", url, "--json")[1])["objects"]["z"]["count"] == 6
    place.delete(next(name for name in names if name.startswith("manifests/")))
    assert run("cache", "prune", url, "--idle", "0s")[0] == 0
    assert not place.exists()


def test_a_server_that_is_not_there_is_one_line(
    bucket: str, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    code, out, err = run("cache", "info", bucket)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert f"{bucket} cannot be reached: " in err
    assert "AWS_ENDPOINT_URL" in err


def test_a_hiccup_of_the_network_costs_no_object(
    data: Data, tiny_ldm: Path, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """--repair ends with it: an object that could not be fetched may be whole."""
    import secrets

    from ldznet_cli.features.remote import Remote

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    url = f"memory://{secrets.token_hex(4)}/cache"
    place = place_of(url)
    for name, content in contents(data.cache).items():
        place.write(name, content)
    names, read = list(Store(url).names()), Remote._open
    lost: list[str] = []

    def flaky(self: Remote, paths: list[str] = lost) -> Any:
        files = read(self)
        fetch = type(files).cat_file

        def cat_file(path: str, *rest: Any, **more: Any) -> Any:
            if names[0] in path and not paths:
                paths.append(path)
                raise TimeoutError("the request timed out")
            return fetch(files, path, *rest, **more)

        files.cat_file = cat_file
        return files

    monkeypatch.setattr(Remote, "_open", flaky)
    code, out, err = run("cache", "verify", url, "--repair", "--ldm", tiny_ldm, "--images", data.images)
    assert (code, out) == (1, "")
    assert "cannot be reached: the request timed out" in err.splitlines()[-1]
    monkeypatch.setattr(Remote, "_open", read)
    assert list(Store(url).names()) == names
    assert run("cache", "verify", url)[0] == 0


def test_a_name_that_is_no_utf_8(cache: Path, data: Data, tiny_ldm: Path, run: Run) -> None:
    folder = Path("odd")
    folder.mkdir()
    good, bad = (folder / os.fsdecode(name) for name in (b"caf\xe9.png", b"bad\xff.png"))
    try:
        shutil.copy(next(data.images.iterdir()), good)
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    bad.write_bytes(b"no image")
    command = [
        "cache-features",
        folder,
        "--prompt",
        "lamp",
        "--ldm",
        tiny_ldm,
        "--size",
        "64",
        "--cache",
        "c",
    ]
    code, _, err = run(*command)
    assert code == 3
    assert "1 of 2 images could not be cached" in err.splitlines()[-1]
    bad.write_bytes(good.read_bytes())
    assert run(*command, "--retry-failed")[0] == 0
