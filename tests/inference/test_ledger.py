from __future__ import annotations

import errno
import hashlib
import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ldznet_cli.errors import DiskFull, UsageError
from ldznet_cli.features.key import digest
from ldznet_cli.inference import Ledger, OutputPlan, Task
from ldznet_cli.inference.answering import Finish, answered
from ldznet_cli.inference.prompts import Prompt
from ldznet_cli.inference.record_file import RecordFile, _append, read_records
from ldznet_cli.samples.listing import ImageRef
from ldznet_cli.samples.record import Instance, Record, RecordImage, to_json

SHA = "a" * 64
SETTINGS = {"threshold": 0.5}
LAMP = Prompt("lamp", "lamp")
IMAGE = ImageRef(Path("in/a.png"), "a.png")


def done(ledger: Ledger, name: str = "a.png", **changes: Any) -> Record:
    """Writes the files of one answer, and its record."""
    paths = ledger.plan.paths(name, LAMP)
    made = answered(Image.new("RGB", (4, 4)), "lamp", np.ones((2, 2), np.float32), Finish(0.5))
    ledger.plan.write(paths, made.answer)
    fields = {
        "image": RecordImage(f"in/{name}", name, SHA, 4, 4),
        "phrase": "lamp",
        "label": "lamp",
        "mask": paths.get("mask"),
        "prob": paths.get("prob"),
        "settings": ledger.digest,
    }
    record = Record(**{**fields, **changes})
    ledger.add(record)
    return record


@pytest.fixture
def plan(tmp_path: Path) -> OutputPlan:
    return OutputPlan(tmp_path / "out")


def test_what_is_done_is_found_by_the_next_run(plan: OutputPlan) -> None:
    record = done(Ledger(plan, SETTINGS))
    ledger = Ledger(plan, SETTINGS)
    assert ledger.find(IMAGE, LAMP, SHA) == record
    assert ledger.left_out == 0


def test_the_image_may_have_moved(plan: OutputPlan) -> None:
    done(Ledger(plan, SETTINGS))
    found = Ledger(plan, SETTINGS).find(ImageRef(Path("elsewhere/a.png"), "a.png"), LAMP, SHA)
    assert found is not None
    assert found.image.path == str(Path("elsewhere/a.png"))


def test_what_differs_is_made_anew(plan: OutputPlan) -> None:
    done(Ledger(plan, SETTINGS))
    ledger = Ledger(plan, SETTINGS)
    assert ledger.find(IMAGE, LAMP, "b" * 64) is None
    assert ledger.find(IMAGE, Prompt("light", "lamp"), SHA) is None
    assert ledger.find(IMAGE, Prompt("lamp", "light"), SHA) is None
    assert Ledger(plan, SETTINGS, overwrite=True).find(IMAGE, LAMP, SHA) is None
    plan.paths("a.png", LAMP).files["mask"].unlink()
    assert ledger.find(IMAGE, LAMP, SHA) is None


def test_results_of_other_settings_stay_until_they_are_made_anew(plan: OutputPlan) -> None:
    first = Ledger(plan, SETTINGS)
    second, _ = done(first, "b.png"), done(first)
    other = Ledger(plan, {"threshold": 0.6})
    assert other.left_out == 2
    assert other.find(IMAGE, LAMP, SHA) is None
    anew = done(other)
    other.close([("a.png", "lamp")])
    assert list(read_records(plan.out / "records.jsonl")) == [anew, second]
    again = Ledger(plan, SETTINGS)
    assert (again.left_out, again.find(IMAGE, LAMP, SHA)) == (1, None)
    assert again.find(ImageRef(Path("in/b.png"), "b.png"), LAMP, SHA) == second


def test_nothing_is_written_before_it_runs(plan: OutputPlan) -> None:
    """A setting that was mistyped, or a phrase that is too long, takes nothing from the run that is there."""
    ledger = Ledger(plan, SETTINGS)
    done(ledger)
    ledger.write_manifest({})
    before = {path: path.read_bytes() for path in plan.out.rglob("*.*")}
    Ledger(plan, {"threshold": 0.6})
    Ledger(plan, SETTINGS, overwrite=True)
    assert {path: path.read_bytes() for path in plan.out.rglob("*.*")} == before


def test_what_tells_of_a_whole_image_takes_its_other_records_along(plan: OutputPlan) -> None:
    """A label map that was made anew no longer tells of what other settings asked for."""
    done(Ledger(plan, SETTINGS))
    other = Ledger(plan, {"threshold": 0.6})
    other.scene_written("a.png", [Prompt("tree", "tree")])
    other.close([])
    assert list(read_records(plan.out / "records.jsonl")) == []


def test_a_failure_is_tried_again(plan: OutputPlan) -> None:
    done(Ledger(plan, SETTINGS), error="damaged")
    assert Ledger(plan, SETTINGS).find(IMAGE, LAMP, SHA) is None


def test_the_torn_line_of_a_killed_run_is_left_out(plan: OutputPlan) -> None:
    record = done(Ledger(plan, SETTINGS))
    path = plan.out / "records.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"schema":"ldznet.rec')
    ledger = Ledger(plan, SETTINGS)
    assert ledger.find(IMAGE, LAMP, SHA) == record
    with ledger.running([]):
        assert path.read_bytes() == whole


def test_a_last_line_that_only_lacks_its_end_is_kept(plan: OutputPlan) -> None:
    record = done(Ledger(plan, SETTINGS))
    path = plan.out / "records.jsonl"
    path.write_bytes(path.read_bytes().removesuffix(b"\n"))
    ledger = Ledger(plan, SETTINGS)
    with ledger.running([]):
        second = done(ledger, "b.png")
    assert list(read_records(path)) == [record, second]


def test_one_run_at_a_time(plan: OutputPlan) -> None:
    """What another one has recorded until then is known to the next."""
    first, second = Ledger(plan, SETTINGS), Ledger(plan, SETTINGS)
    with first.running([]):
        record = done(first)
        with pytest.raises(UsageError, match="another run writes there"), second.running([]):
            pass
    with second.running([]):
        assert second.find(IMAGE, LAMP, SHA) == record


def test_the_old_file_is_closed_before_the_new_one_takes_its_place(
    plan: OutputPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows replaces no file that is open."""
    if not Path("/proc/self/fd").exists():
        pytest.skip("what is open is seen in /proc")
    ledger = Ledger(plan, SETTINGS)
    done(ledger, error="damaged")
    rename, replaced = Path.replace, []

    def replace(self: Path, target: Path) -> Path:
        assert str(target) not in map(os.path.realpath, Path("/proc/self/fd").iterdir())
        replaced.append(target.name)
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    ledger.close([("a.png", "lamp")])
    assert replaced == ["records.jsonl", "failed.jsonl"]


class TestOtherImages:
    """Names begin at what one command's images have in common: in the next they may mean others."""

    @pytest.fixture(autouse=True)
    def images(self, plan: OutputPlan, tmp_path: Path) -> None:
        for place, content in (("one", b"1"), ("two", b"2"), ("copy", b"1")):
            (tmp_path / place).mkdir()
            (tmp_path / place / "a.png").write_bytes(content)
        image = RecordImage(str(tmp_path / "one/a.png"), "a.png", hashlib.sha256(b"1").hexdigest(), 4, 4)
        done(Ledger(plan, SETTINGS), image=image)

    def task(self, folder: Path) -> Task:
        return Task(ImageRef(folder / "a.png", "a.png"), (LAMP,))

    @pytest.mark.parametrize("settings", [SETTINGS, {"threshold": 0.6}])
    def test_their_masks_are_not_replaced(
        self, plan: OutputPlan, tmp_path: Path, settings: dict[str, float]
    ) -> None:
        (plan.out / "run.json").write_text("{}")
        ledger = Ledger(plan, settings)
        with pytest.raises(UsageError) as caught, ledger.running([self.task(tmp_path / "two")]):
            pass
        text = str(caught.value)
        assert all(
            word in text for word in (str(tmp_path / "one/a.png"), str(tmp_path / "two/a.png"), "--out")
        )
        assert {path.name for path in plan.out.iterdir()} == {"a", "records.jsonl", "run.json"}
        with Ledger(plan, settings, overwrite=True).running([self.task(tmp_path / "two")]):
            pass

    def test_a_copy_or_what_has_moved_is_the_same_image(self, plan: OutputPlan, tmp_path: Path) -> None:
        with Ledger(plan, SETTINGS).running([self.task(tmp_path / "copy"), self.task(tmp_path / "gone")]):
            pass
        (tmp_path / "one/a.png").unlink()
        with Ledger(plan, SETTINGS).running([self.task(tmp_path / "two")]):
            pass


def test_what_failed_is_known_of_a_run_that_was_killed(plan: OutputPlan) -> None:
    ledger = Ledger(plan, SETTINGS)
    done(ledger, "a.png", error="damaged")
    done(ledger, "b.png", error="damaged")
    done(ledger, "b.png")
    assert not (plan.out / "failed.jsonl").exists()
    assert Ledger(plan, SETTINGS, retry_failed=True).only == {"a.png"}


def test_the_rest_of_an_overwriting_run_is_known_to_be_missing(plan: OutputPlan) -> None:
    done(Ledger(plan, SETTINGS))
    ledger = Ledger(plan, SETTINGS, overwrite=True)
    with ledger.running([Task(IMAGE, (LAMP,))]):
        pass  # killed at once
    assert Ledger(plan, SETTINGS).find(IMAGE, LAMP, SHA) is None


def test_closing_puts_records_into_the_plan_s_order_and_lists_failures(plan: OutputPlan) -> None:
    ledger = Ledger(plan, SETTINGS)
    other, second = done(ledger, "z.png"), done(ledger, "b.png")
    first = done(ledger, "a.png", error="damaged")
    ledger.close([("a.png", "lamp"), ("b.png", "lamp"), ("never.png", "lamp")])
    assert list(read_records(plan.out / "records.jsonl")) == [first, second, other]
    assert list(read_records(plan.out / "failed.jsonl")) == [first]
    repaired = done(ledger, "a.png")
    ledger.close([("a.png", "lamp"), ("b.png", "lamp")])
    assert list(read_records(plan.out / "records.jsonl")) == [repaired, second, other]
    assert not (plan.out / "failed.jsonl").exists()


def test_a_new_run_takes_the_old_manifest_away(plan: OutputPlan) -> None:
    Ledger(plan, SETTINGS).write_manifest({"b": 1, "a": 2, "model": "caf\udce9"})
    assert json.loads((plan.out / "run.json").read_text()) == {"a": 2, "b": 1, "model": "caf\udce9"}
    with Ledger(plan, SETTINGS).running([]):
        assert not (plan.out / "run.json").exists()


def test_a_line_that_the_disk_does_not_take_is_taken_back(plan: OutputPlan) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full, which is a full disk")
    plan.out.mkdir()
    (plan.out / "records.jsonl").symlink_to("/dev/full")
    records = RecordFile(plan.out / "records.jsonl")
    with pytest.raises(DiskFull, match="no space left"):
        records.append(Record(RecordImage("a", "a"), "lamp", "lamp"))
    assert len(records) == 0


def test_half_a_line_is_cut_off_again() -> None:
    class Half:
        """A file on a disk that takes three bytes more."""

        cut: int | None = None

        def seek(self, offset: int, whence: int) -> int:
            return 10

        def write(self, line: bytes) -> int:
            return 3

        def truncate(self, size: int) -> None:
            self.cut = size

    file = Half()
    with pytest.raises(OSError, match="no space") as caught:
        _append(file, b"0123456789")
    assert caught.value.errno == errno.ENOSPC
    assert file.cut == 10


def test_settings_are_one_whatever_their_order() -> None:
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})


def test_memory_does_not_grow_with_what_records_say(plan: OutputPlan) -> None:
    """Of a record there is its place alone: some 150 bytes, whatever it tells of."""
    many = 3000
    path = plan.out / "records.jsonl"
    path.parent.mkdir()
    settings = digest(SETTINGS)
    instances = tuple(Instance((n, n, 4, 4), 16, 0.5) for n in range(40))
    with path.open("w") as file:
        for number in range(many):
            image = RecordImage(f"in/{number}.png", f"{number}.png", SHA, 4, 4)
            file.write(to_json(Record(image, "lamp", "lamp", settings=settings, instances=instances)) + "\n")
    size = path.stat().st_size
    tracemalloc.start()
    ledger = Ledger(plan, SETTINGS)
    ledger.close((f"{number}.png", "lamp") for number in reversed(range(many)))
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 300 * many < size / 5
    assert peak < 600 * many
    first = next(read_records(path))
    assert first.image.name == f"{many - 1}.png"
    assert first.instances == instances
    assert [record.image.name for record in ledger.recorded(lambda: [("7.png", "lamp")])] == ["7.png"]


def test_of_a_record_that_is_made_again_the_new_one_counts(plan: OutputPlan) -> None:
    ledger = Ledger(plan, SETTINGS)
    done(ledger, score=0.1)
    newer = done(ledger, score=0.2)
    assert ledger.find(IMAGE, LAMP, SHA) == newer
    assert Ledger(plan, SETTINGS).find(IMAGE, LAMP, SHA) == newer
    assert list(ledger.recorded(lambda: [("a.png", "lamp")])) == [newer]
    ledger.close([("a.png", "lamp")])
    assert list(read_records(plan.out / "records.jsonl")) == [newer]
