"""Tables for people: what stands in them, and beside what."""

from __future__ import annotations

from pathlib import Path

from ldznet_cli.evaluation import Report, Table, evaluate, tables_of
from ldznet_cli.samples.coco import load_coco
from tests.evaluation.world import arrays


def report_of(gt: Path, *protocols: str) -> Report:
    return evaluate(gt, arrays(load_coco(gt)), protocols=protocols, size=64)


def rows(table: Table) -> dict[str, dict[str, str]]:
    return {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}


def test_all_protocols_have_a_table_of_their_own(gt: Path) -> None:
    report = report_of(gt, "clipseg", "native", "phrasecut", "refcoco")
    tables = tables_of(report)
    assert [table.title.split()[0] for table in tables] == [
        name for protocol in ("clipseg", "native", "phrasecut", "refcoco") for name in 3 * (protocol,)
    ]
    assert tables[0].title == (
        "clipseg (version 1), 64x64: 7 samples, 0 missing; in %, ground truth " + load_coco(gt).digest[:12]
    )
    assert "original size" in tables[3].title


def test_a_value_stands_under_its_threshold_with_its_interval(gt: Path) -> None:
    report = report_of(gt, "clipseg")
    everyone, subsets, categories = (rows(table) for table in tables_of(report))
    score = report.score("clipseg", "mIoU", "0.3")
    low, high = score.interval or (0, 0)
    assert everyone["mIoU"]["0.3"] == f"{100 * (score.value or 0):.1f} [{100 * low:.1f}, {100 * high:.1f}]"
    best = report.score("clipseg", "mIoU", "best")
    assert everyone["mIoU"]["best"].startswith(f"{100 * (best.value or 0):.1f} [")
    assert everyone["mIoU"]["best"].endswith(f"] (at {best.at:g})")
    low, high = report.score("clipseg", "AP").span or (0, 0)
    assert f"AP over recall {100 * low:.1f} to {100 * high:.1f}" in everyone
    assert "AP_exact" in everyone
    stuff = report.score("clipseg", "mIoU", "0.5", "kind:stuff")
    assert subsets["kind:stuff"]["mIoU at 0.5"] == f"{100 * (stuff.value or 0):.1f}"
    assert subsets["kind:stuff"]["samples"] == "2"
    assert {name: row["samples"] for name, row in categories.items()} == {
        "lamp": "3",
        "grass": "2",
        "tree": "2",
    }


def test_what_cannot_be_had_is_not_made_up(gt: Path) -> None:
    samples = load_coco(gt)
    hard = {(s.image.name, s.phrase): s.mask() for s in samples.samples}
    table, *_ = tables_of(evaluate(gt, hard, protocols=("native",)))
    assert rows(table)["AP"]["all"] == "n/a"
    assert rows(table)["mIoU"]["own"].startswith("100.0")


def test_each_annotation_is_called_so(gt: Path) -> None:
    report = evaluate(gt, arrays(load_coco(gt)), protocols=("native",), per_annotation=True)
    assert "8 annotations" in tables_of(report)[0].title


def test_only_the_most_frequent_categories_stand_in_the_table(gt: Path) -> None:
    """The others are counted, and in the report."""
    report = report_of(gt, "native")
    *_, categories = tables_of(report, 1)
    assert categories.title == "native by category, in %; 2 categories more in --json"
    assert [row[0] for row in categories.rows] == ["lamp"]
    assert report.score("native", "mIoU", "own", "category:grass").samples == 2
