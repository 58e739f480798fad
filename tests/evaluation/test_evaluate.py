"""Predictions in every form give the same report; what is missing, failed, twice or strange is counted and said."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import ldznet_cli
from ldznet_cli.errors import AnnotationError, NothingToDo, UsageError
from ldznet_cli.evaluation import Report, evaluate
from ldznet_cli.samples.coco import load_coco
from ldznet_cli.samples.masks import encode_rle, read_mask
from ldznet_cli.samples.record import to_json
from tests.evaluation.world import SAMPLES, arrays, changed, records, renamed, write_records
from tests.metrics import slow
from tests.metrics.slow import Case

scored = partial(evaluate, size=64)
"""On a small square, which is faster."""

EVERY = ("clipseg", "native", "phrasecut", "refcoco")


def same_numbers(one: Report, other: Report) -> None:
    """But for the last digit, in which a sum depends on its order."""
    for a, b in zip(one.scores, other.scores, strict=True):
        assert (a.protocol, a.metric, a.threshold, a.subset) == (b.protocol, b.metric, b.threshold, b.subset)
        assert a.value == pytest.approx(b.value, abs=1e-12)


def test_the_public_name() -> None:
    assert ldznet_cli.evaluate is evaluate


def test_records_folder_lines_and_arrays_say_the_same(gt: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made = records(gt, out)
    write_records(out, made)
    reports = [
        scored(gt, given, protocols=EVERY)
        for given in (
            arrays(load_coco(gt)),
            made,
            [to_json(record) for record in made],
            out,
            out / "records.jsonl",
        )
    ]
    assert all(report.scores == reports[0].scores for report in reports)
    assert {report.predictions.scored for report in reports} == {SAMPLES}
    (out / "records.jsonl").unlink()  # what is left is a folder of named maps
    same_numbers(scored(gt, out, protocols=EVERY), reports[0])


def test_order_makes_no_difference(gt: Path, tmp_path: Path) -> None:
    made = records(gt, tmp_path / "out")
    same_numbers(scored(gt, made), scored(gt, made[::-1]))


def test_every_number_against_the_slow_double(gt: Path) -> None:
    """On maps of the images' own size, which nothing has to resize; the crowd's pixels do not count."""
    samples = load_coco(gt)
    random = np.random.default_rng(0)
    maps = {
        (s.image.name, s.phrase): random.random((s.height, s.width), dtype=np.float32)
        for s in samples.samples
    }
    cases = [Case(s.mask(), maps[s.image.name, s.phrase], s.ignore()) for s in samples.samples]
    outlined, coco = (
        [replace(case, mask=s.mask(way)) for case, s in zip(cases, samples.samples, strict=True)]
        for way in ("phrasecut", "coco")
    )
    report = scored(gt, maps, protocols=EVERY, size=40)
    half = [0.5] * len(cases)
    doubles = {
        "clipseg": slow.clipseg(cases, 40),
        "native": slow.native(cases, half),
        "phrasecut": slow.phrasecut(outlined, half),
        "refcoco": slow.refcoco(coco, 480),
    }
    compared = 0
    for protocol, numbers in doubles.items():
        for (metric, rule), value in numbers.items():
            if protocol != "native" or rule in ("own", "0.5", "best", "every score"):
                found = report.score(protocol, metric, rule).value
                compared += 1
                # Maps are resized in two libraries here: a pixel within rounding of a threshold may change sides.
                assert found == pytest.approx(value, abs=2e-6), (protocol, metric, rule)
    assert compared == 16 + 16 + 7 + 7


def test_every_number_says_what_it_is(gt: Path, tmp_path: Path) -> None:
    report = scored(gt, records(gt, tmp_path / "out")[1:], protocols=EVERY)
    digest = load_coco(gt).digest
    for score in report.scores:
        assert score.protocol in EVERY
        assert score.version == ("2" if score.protocol == "refcoco" else "1")
        assert score.threshold
        assert score.ground_truth == digest
        assert 0 <= score.missing <= score.samples <= SAMPLES
        assert score.size == {"clipseg": 64, "refcoco": 480}.get(score.protocol)
    assert report.score("native", "mIoU").samples == SAMPLES
    assert report.score("native", "mIoU").missing == 1


def test_json_round(gt: Path, tmp_path: Path) -> None:
    report = scored(gt, records(gt, tmp_path / "out"))
    data = json.loads(report.to_json())
    assert data["schema"] == "ldznet.report/1"
    assert data["ldznet"] == ldznet_cli.__version__
    assert len(data["scores"]) == len(report.scores)
    assert data["ground_truth"]["samples"] == SAMPLES
    assert data["ground_truth"]["annotations"] == 9
    assert data["predictions"]["models"] == {"net miniature": SAMPLES}
    assert report.to_json() == scored(gt, records(gt, tmp_path / "out")).to_json()


def test_a_missing_prediction_is_an_empty_one_and_counted(gt: Path, tmp_path: Path) -> None:
    made = arrays(load_coco(gt))
    first = next(iter(made))
    empty = {**made, first: np.zeros((4, 4), dtype=np.float32)}
    without = {key: value for key, value in made.items() if key != first}
    one, other = scored(gt, empty, protocols=EVERY), scored(gt, without, protocols=EVERY)
    assert [score.value for score in one.scores] == [score.value for score in other.scores]
    assert (one.predictions.missing, other.predictions.missing) == (0, 1)
    assert other.score("clipseg", "mIoU", subset="kind:thing").missing == 1
    assert other.score("clipseg", "mIoU", subset="kind:stuff").missing == 0


def test_a_record_with_an_error_counts_as_missing(gt: Path, tmp_path: Path) -> None:
    made = records(gt, tmp_path / "out")
    broken = changed(made, 2, lambda r: replace(r, error="damaged or truncated", prob=None))
    report = scored(gt, broken)
    assert (report.predictions.failed, report.predictions.missing, report.predictions.scored) == (
        1,
        1,
        SAMPLES - 1,
    )
    assert report.predictions.failures == ("records, line 3 (photo_1.png, 'tree'): damaged or truncated",)
    # A later record that is whole repairs it.
    repaired = scored(gt, [*broken, made[2]])
    assert repaired.predictions.missing == 0
    assert repaired.score("native", "mIoU").value == pytest.approx(
        scored(gt, made).score("native", "mIoU").value
    )


def test_files_that_cannot_be_read_count_as_missing(gt: Path, tmp_path: Path) -> None:
    made = records(gt, tmp_path / "out")
    Path(made[0].prob or "").unlink()
    Path(made[1].prob or "").write_bytes(b"\x89PNG\r\n")
    report = scored(gt, made)
    assert (report.predictions.failed, report.predictions.missing) == (2, 2)
    assert "does not exist" in report.predictions.failures[0]


def test_a_record_about_an_image_of_another_size_is_not_scored(gt: Path, tmp_path: Path) -> None:
    made = changed(records(gt, tmp_path / "out"), 0, lambda r: renamed(r, width=30, height=40))
    report = scored(gt, made)
    assert report.predictions.failed == 1
    assert "the image had 30x40 pixels, the ground truth's has 40x30" in report.predictions.failures[0]


def test_a_mask_of_another_size_is_not_scored(gt: Path) -> None:
    made = {key: value > 0.5 for key, value in arrays(load_coco(gt)).items()}
    report = scored(gt, made)
    assert report.predictions.failed == SAMPLES
    assert "a mask of 20x15 pixels: expected the image's 40x30" in report.predictions.failures[0]


def test_only_the_first_failures_are_listed(gt: Path, tmp_path: Path) -> None:
    broken = [replace(record, error="no") for record in records(gt, tmp_path / "out") * 3]
    report = scored(gt, broken)
    assert report.predictions.failed == 3 * SAMPLES
    assert len(report.predictions.failures) == 10


def test_what_came_twice_counts_once(gt: Path, tmp_path: Path) -> None:
    made = records(gt, tmp_path / "out")
    report = scored(gt, [*made, *made[:2]])
    assert report.predictions.duplicates == 2
    assert report.scores == scored(gt, made).scores


def test_strangers_are_counted_by_reason(gt: Path, tmp_path: Path) -> None:
    made = records(gt, tmp_path / "out")
    strangers = [
        replace(made[0], phrase="giraffe", label="giraffe"),
        renamed(made[0], name="elsewhere.png", sha256="0" * 64),
        renamed(made[0], sha256="0" * 64),
    ]
    report = scored(gt, [*strangers, *made])
    assert report.predictions.ignored == {
        "phrase not in the ground truth of its image": 1,
        "image not in the ground truth": 1,
        "another image of the same name": 1,
    }
    counts = report.predictions
    assert counts.read == counts.scored + counts.failed + counts.duplicates + sum(counts.ignored.values())


def test_nothing_fits(gt: Path, tmp_path: Path) -> None:
    strangers = [renamed(record, name="x.png", sha256="0" * 64) for record in records(gt, tmp_path / "out")]
    with pytest.raises(AnnotationError) as caught:
        scored(gt, strangers)
    message = str(caught.value)
    assert "none of 7 predictions fits" in message
    assert "7 image not in the ground truth" in message
    assert "found image 'x.png' with phrase 'red lamp'" in message
    assert "expected such as image 'photo_1.png' with phrase 'red lamp'" in message
    assert "\n" not in message


def test_no_predictions_and_no_samples(gt: Path, tmp_path: Path) -> None:
    with pytest.raises(NothingToDo, match="no predictions"):
        scored(gt, [])
    bare = tmp_path / "bare.json"
    bare.write_text(json.dumps({"images": [], "annotations": [], "categories": []}))
    with pytest.raises(NothingToDo, match="no sample in it"):
        scored(bare, arrays(load_coco(gt)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"protocols": ("clipseg", "coco")},
            "unknown protocol 'coco': expected clipseg, native, phrasecut, refcoco",
        ),
        ({"protocols": ()}, "at least one protocol"),
        ({"size": 0}, "expected 16 to 4096"),
    ],
)
def test_arguments_that_make_no_sense(gt: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        scored(gt, arrays(load_coco(gt)), **options)  # type: ignore[arg-type]


def test_each_annotation_by_itself(gt: Path, tmp_path: Path) -> None:
    """The two trees are two samples, scored by the one prediction for "tree"."""
    made = records(gt, tmp_path / "out")
    union, single = scored(gt, made), scored(gt, made, per_annotation=True)
    assert (union.ground_truth.samples, single.ground_truth.samples) == (SAMPLES, SAMPLES + 1)
    assert (single.predictions.read, single.predictions.scored, single.predictions.missing) == (
        SAMPLES,
        SAMPLES,
        0,
    )
    assert single.score("native", "mIoU").samples == SAMPLES + 1
    assert (single.score("native", "mIoU").value or 0) < (union.score("native", "mIoU").value or 0)


def test_ignored_regions_are_left_out_and_told(gt: Path, tmp_path: Path) -> None:
    report = scored(gt, records(gt, tmp_path / "out"))
    assert report.ground_truth.ignored_pixels == 16
    assert report.ground_truth.crowd_regions == 1


def test_subsets(gt: Path, tmp_path: Path) -> None:
    report = scored(gt, records(gt, tmp_path / "out"), protocols=("native",))
    counts = {score.subset: score.samples for score in report.scores}
    assert counts == {
        "all": 7,
        "kind:thing": 5,
        "kind:stuff": 2,
        "style:photo": 3,
        "style:cartoon": 2,
        "style:sketch": 2,
        "size:medium": 3,
        "size:large": 3,
        "size:absent": 1,
        "instances:0": 1,
        "instances:1": 5,
        "instances:2-4": 1,
        "words:1": 5,
        "words:2": 1,
        "words:3+": 1,
        "category:lamp": 3,
        "category:grass": 2,
        "category:tree": 2,
    }
    parts = [report.score("native", "mIoU", "own", subset) for subset in ("kind:thing", "kind:stuff")]
    weighted = sum((part.value or 0) * part.samples for part in parts) / 7
    assert report.score("native", "mIoU", "own").value == pytest.approx(weighted)


def test_hard_masks_have_no_ap(gt: Path, tmp_path: Path) -> None:
    made = records(gt, tmp_path / "out", prob=False)
    report = scored(gt, made)
    assert report.predictions.hard == SAMPLES
    assert report.score("clipseg", "AP").value is None
    assert report.score("native", "AP").note == "7 predictions are hard masks, which have no scores"
    # As RLE in the record they are the same masks.
    packed = [replace(r, mask=None, rle=encode_rle(read_mask(Path(r.mask or "")))) for r in made]
    assert scored(gt, packed).scores == report.scores


def test_an_explicit_empty_record_is_a_prediction(gt: Path, tmp_path: Path) -> None:
    made = records(gt, tmp_path / "out")
    empty = changed(made, 0, lambda r: replace(r, prob=None, area=0))
    report = scored(gt, empty)
    assert (report.predictions.failed, report.predictions.missing) == (0, 0)
    blank = changed(made, 0, lambda r: replace(r, prob=None))
    assert "no prob, mask or rle" in scored(gt, blank).predictions.failures[0]


def test_the_label_is_tried_where_the_phrase_is_not_known(gt: Path, tmp_path: Path) -> None:
    """`--prompt "crimson lantern=red lamp"` answers for "red lamp"."""
    made = changed(
        records(gt, tmp_path / "out"), 0, lambda r: replace(r, phrase="crimson lantern", label=" red  lamp")
    )
    assert scored(gt, made).predictions.missing == 0


def test_geometry_is_told_beside_clipseg(gt: Path, tmp_path: Path) -> None:
    made = records(gt, tmp_path / "out")
    assert "7 aligned 128" in scored(gt, made).notes[0]
    assert not scored(gt, made, protocols=("native",)).notes
    square = [replace(r, geometry=replace(r.geometry, kind="square", size=64)) for r in made if r.geometry]
    assert not scored(gt, square).notes
    assert "7 square 64" in scored(gt, square, size=40).notes[0]
    same = [replace(r, settings="1" * 64) for r in square]
    assert not scored(gt, same).notes
    other = changed(same, 0, lambda r: replace(r, settings="0" * 64))
    assert "one model with 2 different settings" in scored(gt, other).notes[0]
    mixed = changed(square, 0, lambda r: replace(r, model="other"))
    assert scored(gt, mixed).notes == ("predictions of several models: net other, net miniature",)


def test_a_folder_of_records_can_be_moved(gt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    out = Path("masks")
    write_records(
        out, records(gt, out)
    )  # paths relative to the working folder, as the command line writes them
    before = scored(gt, out)
    shutil.move("masks", "moved")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert scored(gt, tmp_path / "moved").scores == before.scores


def test_reports_are_asked_by_name(gt: Path) -> None:
    report: Report = scored(gt, arrays(load_coco(gt)))
    assert report.score("clipseg", "mIoU", "0.3").at == 0.3
    with pytest.raises(
        KeyError, match=r"native nIoU at own of all: there are AP at every score, IoU_FG at 0.5"
    ):
        report.score("native", "nIoU", "own")


def test_no_heavy_imports() -> None:
    """Reading and scoring need neither torch nor scipy; AP imports the latter when it is computed."""
    code = (
        "import sys, ldznet_cli.evaluation;"
        "print([m for m in ('torch', 'scipy', 'transformers', 'diffusers', 'rich') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_an_rle_of_another_size_is_a_failure_and_not_drawn(gt: Path, tmp_path: Path) -> None:
    """The sides come from a file: they may be negative, or say that millions of pixels are meant."""
    made = records(gt, tmp_path / "out", prob=False)
    first = made[0].image
    packed = encode_rle(read_mask(Path(made[0].mask or "")))
    for size in ([-(first.height or 0), -(first.width or 0)], [2**17, 2**17]):
        changed = replace(made[0], mask=None, rle={**packed, "size": size})
        report = scored(gt, [changed, *made[1:]])
        assert "pixels, its image" in report.predictions.failures[0]
        assert report.predictions.scored == len(made) - 1


def test_half_precision_maps_are_ranked(gt: Path) -> None:
    samples = load_coco(gt)
    maps = {(s.image.name, s.phrase): np.where(s.mask(), 1, 0).astype(np.float16) for s in samples.samples}
    assert scored(gt, maps).score("native", "AP").value == 1


def test_absent_is_what_the_annotations_say(gt: Path) -> None:
    """A polygon between the pixels draws nothing, and still says that the thing is there."""
    truth = json.loads(gt.read_text())
    thin = {"image_id": 3, "category_id": 2, "segmentation": [[1.2, 1.2, 1.4, 1.2, 1.4, 1.4]], "id": 99}
    truth["annotations"].append(thin)
    gt.write_text(json.dumps(truth))
    samples = load_coco(gt)
    maps = {(s.image.name, s.phrase): np.ones((4, 4), dtype=np.float32) for s in samples.samples}
    assert not next(s for s in samples.samples if (s.image_id, s.phrase) == (3, "grass")).mask().any()
    [alarms] = [
        n
        for n in scored(gt, maps).scores
        if (n.metric, n.threshold, n.subset) == ("absent_FPR", "own", "all")
    ]
    assert alarms.note == "of 1 absent phrases"
