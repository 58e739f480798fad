"""PhraseCut and RefCOCO in miniature, laid out as their authors describe them (the READMEs of
ChenyunWu/PhraseCutDataset and lichengunc/refer)."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

BOX = [[1, 1], [3, 1], [3, 3], [1, 3]]
"""Filled by polygon2mask as the 9 pixels from (1, 1) to (3, 3)."""

LINE = [[5, 5], [6, 5]]


def task(image: int, objects: list[int], phrase: str, polygons: Any, **other: Any) -> dict[str, Any]:
    """A phrase-region pair of PhraseCut."""
    structure = {"name": phrase.split()[-1], "attributes": phrase.split()[:-1], "relation_ids": []}
    structure |= {"relation_descriptions": [], "type": "attribute"}
    return {
        "task_id": f"{image}__{'_'.join(map(str, objects))}",
        "image_id": image,
        "ann_ids": objects,
        "instance_boxes": [[1, 1, 3, 3] for _ in polygons],
        "Polygons": polygons,
        "phrase": phrase,
        "phrase_structure": structure,
    } | other


VAL = [
    task(7, [70], "red lamp", [[BOX]]),
    task(7, [71, 72], "red lamp", [[LINE], [BOX, [[0.5, 7.5], [2, 7], [1, 6]]]]),
    task(8, [80], "wide grass", [[BOX]], phrase_structure=None),
    task(150417, [90], "old car", [[BOX]]),
    task(150417, [91], "car", [[BOX]]),
]
TEST = [task(9, [95], "white dog", [[BOX]]), task(9, [96], "cat", [])]


def write_phrasecut(folder: Path) -> Path:
    """`VGPhraseCut_v0` with the splits val and test."""
    folder.mkdir(parents=True)
    images = [
        image(7, "val"),
        image(8, "val"),
        image(9, "test"),
        image(150417, "val"),
        image(11, "train"),
    ]
    (folder / "image_data_split.json").write_text(json.dumps(images))
    for split, tasks in (("val", VAL), ("test", TEST)):
        (folder / f"refer_{split}.json").write_text(json.dumps(tasks))
        inputs = [{key: one[key] for key in ("task_id", "image_id", "phrase")} for one in tasks]
        (folder / f"refer_input_{split}.json").write_text(json.dumps(inputs))
    return folder


def image(number: int, split: str) -> dict[str, Any]:
    """An entry of `image_data_split.json`."""
    known = {"image_id": number, "coco_id": None, "flickr_id": None, "width": 10, "height": 8}
    return known | {"url": f"https://example.org/{number}.jpg", "split": split}


def ref(number: int, annotation: int, image: int, split: str, *words: str) -> dict[str, Any]:
    """An entry of `refs(…).p`."""
    keys = [10 * number + place for place in range(len(words))]
    sentences = [
        {"tokens": text.split(), "raw": text.upper(), "sent_id": key, "sent": text}
        for key, text in zip(keys, words, strict=True)
    ]
    name = f"COCO_train2014_{image:012}_{annotation}.jpg"
    return {
        "sent_ids": keys,
        "file_name": name,
        "ann_id": annotation,
        "ref_id": number,
        "image_id": image,
        "split": split,
        "sentences": sentences,
        "category_id": 1,
    }


REFS = [
    ref(1, 100, 5, "train", "the man", "left man"),
    ref(2, 101, 6, "val", "left one", "left one", "café chair"),
    ref(3, 102, 6, "val", "left one"),
    ref(4, 103, 7, "testA", "person"),
    ref(5, 104, 7, "testB", "bag"),
]

CORNERS = [1, 1, 3, 1, 3, 3, 1, 3]


def instances() -> dict[str, Any]:
    """`instances.json`: COCO's own format, with more annotations than the refs name."""
    return {
        "info": {"year": 2014},
        "licenses": [],
        "images": [
            {"id": key, "file_name": f"COCO_train2014_{key:012}.jpg", "width": 10, "height": 8}
            for key in (5, 6, 7)
        ],
        "annotations": [
            {
                "id": key,
                "image_id": image,
                "category_id": 1 + key % 2,
                "segmentation": [CORNERS],
                "bbox": [1, 1, 2, 2],
                "area": 4.0,
                "iscrowd": 0,
            }
            for key, image in ((99, 5), (100, 5), (101, 6), (102, 6), (103, 7), (104, 7))
        ],
        "categories": [
            {"id": 1, "name": "person", "supercategory": "person"},
            {"id": 2, "name": "chair", "supercategory": "furniture"},
        ],
    }


def write_refcoco(folder: Path, who: str = "unc", protocol: int = 2) -> Path:
    """The folder of one data set."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "instances.json").write_text(json.dumps(instances()))
    (folder / f"refs({who}).p").write_bytes(pickle.dumps(REFS, protocol))
    return folder
