"""The files that the study leaves, and the seed of its test scenes."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ldznet_cli.errors import AnnotationError, ModelError, UsageError
from ldznet_cli.miniature.paper.material import World
from ldznet_cli.miniature.paper.protocol import Protocol
from ldznet_cli.miniature.paper.results import Result, machine, read_folder, read_result, read_results
from ldznet_cli.miniature.paper.run import Study
from ldznet_cli.miniature.paper.seed import seed_of
from ldznet_cli.miniature.paper.seed import test_seed as drawn_seed
from ldznet_cli.miniature.recipe import official

PROTOCOL = Protocol()
PAGE = Path(__file__).parents[3] / "docs" / "paper" / "protocol.md"


def result(job: str = "znet-s0", digest: str = PROTOCOL.digest) -> Result:
    protocol = {"version": 1, "digest": digest}
    drawn = {"photo/all/mIoU@best": np.array([0.0, 0.25, 1.0])}
    return Result(job, protocol, 7, {"seed": 0}, {"photo/all/mIoU@best": 0.5}, {"photo": 3}, drawn, machine())


def test_a_result_comes_back_as_it_was_written(tmp_path: Path) -> None:
    result().write(tmp_path)
    found = read_result(tmp_path / "znet-s0.json")
    assert replace(found, replicates={}) == replace(result(), replicates={})
    np.testing.assert_allclose(found.replicates["photo/all/mIoU@best"], [0.0, 0.25, 1.0], atol=1 / 65535)


def test_results_of_an_earlier_version_are_still_read(tmp_path: Path) -> None:
    result("a").write(tmp_path)
    result("b", digest="0" * 64).write(tmp_path)
    assert list(read_folder(tmp_path)) == ["a", "b"]


def test_results_of_another_protocol_do_not_count(tmp_path: Path) -> None:
    result("a").write(tmp_path)
    result("b", digest="0" * 64).write(tmp_path)
    assert list(read_results(tmp_path, PROTOCOL)) == ["a"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "other/1"}', '{"format": "ldznet.paper/1"}'])
def test_a_damaged_result_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(AnnotationError, match=r"x\.json is no result of the study"):
        read_results(tmp_path, PROTOCOL)


def test_the_page_of_the_protocol_holds_its_numbers() -> None:
    block = PAGE.read_text("utf-8").split("```json\n")[1].split("```")[0]
    assert json.loads(block) == PROTOCOL.to_dict()


def test_what_is_committed_is_one_whole(tmp_path: Path) -> None:
    """The page is what the results make of it, and each tested result is of its version's seed."""
    pytest.importorskip("matplotlib")
    there = PAGE.parent
    made = tmp_path / "paper"
    shutil.copytree(there, made, ignore=shutil.ignore_patterns("*.png"))
    world = World(tmp_path, PROTOCOL, official(), lambda: 0, made / "figures")
    assert Study(world, made).write_page().read_text("utf-8") == (
        there.parent / "paper-in-miniature.md"
    ).read_text("utf-8")
    drawn = json.loads((there / "test-seed.json").read_text("utf-8"))["drawn"]
    assert [entry["version"] for entry in drawn] == [1, 2]
    for entry in drawn:
        assert entry["seed"] == seed_of(entry["commit"])
        results = read_folder(there / "results" / str(entry["version"])).values()
        assert {found.test_seed for found in results} <= {entry["seed"], None}
        assert {found.protocol["digest"] for found in results} == {entry["protocol"]}


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A repository with a committed protocol."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / "protocol.md").write_text("what is compared\n")
    git(tmp_path, "add", "protocol.md")
    commit(tmp_path)
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    asked = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return asked.stdout.strip()


def commit(folder: Path) -> None:
    who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    git(folder, *who, "commit", "--quiet", "--all", "--message", "the protocol")


def test_the_seed_is_drawn_from_the_protocols_commit_and_kept(docs: Path) -> None:
    seed = drawn_seed(docs, PROTOCOL)
    assert seed == seed_of(git(docs, "log", "-1", "--format=%H"))
    (docs / "protocol.md").write_text("and a note\n")
    commit(docs)
    assert drawn_seed(docs, PROTOCOL) == seed


def test_no_seed_is_drawn_from_what_is_not_committed(docs: Path) -> None:
    (docs / "protocol.md").write_text("changed\n")
    with pytest.raises(UsageError, match="not committed as it stands"):
        drawn_seed(docs, PROTOCOL)


def test_outside_a_repository_there_is_nothing_to_draw_from(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"protocol\.md"):
        drawn_seed(tmp_path / "nowhere", PROTOCOL)


def test_a_changed_protocol_needs_a_new_version_and_gets_a_new_seed(docs: Path) -> None:
    first = drawn_seed(docs, PROTOCOL)
    changed = replace(PROTOCOL, test_scenes=400)
    with pytest.raises(ModelError, match="needs a new version"):
        drawn_seed(docs, changed)
    (docs / "protocol.md").write_text("version 2\n")
    commit(docs)
    assert drawn_seed(docs, replace(changed, version=PROTOCOL.version + 1)) != first
    assert drawn_seed(docs, PROTOCOL) == first
