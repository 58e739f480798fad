"""Reading predictions: records line by line, folders of named masks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ldznet_cli.errors import AnnotationError, NothingToDo, UsageError
from ldznet_cli.evaluation import open_predictions
from ldznet_cli.evaluation.mask_folder import MaskFolder
from ldznet_cli.evaluation.records import RecordedAnswers
from ldznet_cli.samples.coco import load_coco
from ldznet_cli.samples.masks import write_mask, write_prob
from ldznet_cli.samples.record import to_json
from tests.evaluation.world import records


def test_lines_are_read_one_at_a_time(gt: Path, tmp_path: Path) -> None:
    """So that a pipe of any length takes constant memory, and scores as it flows."""
    lines = [to_json(record) for record in records(gt, tmp_path / "out")]
    read = 0

    def flowing() -> Iterator[str]:
        nonlocal read
        for line in lines:
            read += 1
            yield line

    answers = iter(RecordedAnswers(flowing()))
    next(answers)
    assert read == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"schema": "ldznet.record/1", "image"', "the stream, line 3: not a line of JSON"),
        ("[1, 2]", "the stream, line 3: a record is [1, 2]: expected an object"),
        ('{"name": "x"}', "the stream, line 3: schema is None: expected 'ldznet.record/1'"),
        (b"\xff\xfe{}", "the stream, line 3: not UTF-8 text"),
    ],
    ids=["cut off", "a list", "other JSON", "bytes"],
)
def test_what_is_not_a_record(gt: Path, tmp_path: Path, line: str | bytes, message: str) -> None:
    good = to_json(records(gt, tmp_path / "out")[0])
    with pytest.raises(AnnotationError) as caught:
        list(RecordedAnswers([good, "\n", line], source="the stream"))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_fields_reach_the_answer(gt: Path, tmp_path: Path) -> None:
    record = records(gt, tmp_path / "out")[0]
    answer = next(iter(RecordedAnswers([record], source="pipe")))
    assert (answer.image.name, answer.image.sha256, answer.image.size) == (
        "photo_1.png",
        record.image.sha256,
        (40, 30),
    )
    assert (answer.phrase, answer.model, answer.geometry) == ("red lamp", "net miniature", "aligned 128")
    assert answer.where == "pipe, line 1"
    prediction = answer.load()
    assert prediction.prob is not None
    assert prediction.prob.shape == (15, 20)


@pytest.mark.parametrize(
    ("file", "owner"),
    [
        ("photo_1/red-lamp.png", "1/red lamp"),
        ("photo_1_red lamp.png", "1/red lamp"),
        ("Photo_1--Red-Lamp.PNG".replace("PNG", "png"), "1/red lamp"),
        ("cartoon/2/lamp_on_the_left.prob.png", "2/lamp on the left"),
        ("cartoon-2-grass.png", "2/grass"),
        ("other_1/red-lamp.png", None),
    ],
)
def test_files_are_found_by_letters_and_digits(
    gt: Path, tmp_path: Path, file: str, owner: str | None
) -> None:
    write_mask(tmp_path / "masks" / file, np.ones((2, 2), dtype=bool))
    (answer,) = MaskFolder(tmp_path / "masks", load_coco(gt))
    names = {"1": "photo_1.png", "2": "cartoon/2.png"}
    if owner is None:
        assert (answer.image.name, answer.phrase) == (file, "")
    else:
        number, phrase = owner.split("/")
        assert (answer.image.name, answer.phrase) == (names[number], phrase)


def test_an_image_with_one_phrase_needs_no_phrase_in_the_name(tmp_path: Path) -> None:
    from tests.evaluation.world import write_world

    gt = write_world(tmp_path)
    gt.write_text(
        gt.read_text().replace('"image_id": 3, "category_id": 1', '"image_id": 2, "category_id": 1')
    )
    write_mask(tmp_path / "masks/sketch_3.png", np.ones((16, 16), dtype=bool))
    (answer,) = MaskFolder(tmp_path / "masks", load_coco(gt))
    assert (answer.image.name, answer.phrase) == ("sketch_3.png", "tree")


def test_probabilities_go_before_masks_and_overlays_are_no_predictions(gt: Path, tmp_path: Path) -> None:
    folder = tmp_path / "masks/photo_1"
    write_mask(folder / "grass.png", np.ones((30, 40), dtype=bool))
    write_prob(folder / "grass.prob.png", np.full((3, 4), 0.25, dtype=np.float32))
    write_mask(folder / "grass.overlay.png", np.ones((30, 40), dtype=bool))
    (answer,) = MaskFolder(tmp_path / "masks", load_coco(gt))
    prob = answer.load().prob
    assert prob is not None
    assert prob[0, 0] == pytest.approx(0.25, abs=1e-5)


def test_a_name_that_fits_two_samples_is_refused(gt: Path, tmp_path: Path) -> None:
    gt.write_text(
        gt.read_text().replace("cartoon/2.png", "photo.png").replace('"lamp on the left"', '"1 grass"')
    )
    write_mask(tmp_path / "masks/photo_1_grass.png", np.ones((2, 2), dtype=bool))
    with pytest.raises(
        UsageError, match=r"could be 'grass' in photo_1.png or '1 grass' in photo.png: rename it"
    ):
        MaskFolder(tmp_path / "masks", load_coco(gt))


def test_paths_that_hold_no_predictions(gt: Path, tmp_path: Path) -> None:
    samples = load_coco(gt)
    with pytest.raises(UsageError, match="does not exist"):
        open_predictions(tmp_path / "nowhere", samples)
    (tmp_path / "empty").mkdir()
    with pytest.raises(NothingToDo, match="no predictions: expected records.jsonl, or IMAGE/PHRASE.png"):
        open_predictions(tmp_path / "empty", samples)
    with pytest.raises(AnnotationError, match=r"expected COCO results.*records go one a line"):
        open_predictions(gt, samples)
