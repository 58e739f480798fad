from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldznet_cli.errors import AnnotationError
from ldznet_cli.samples.record import (
    SCHEMA,
    Instance,
    Record,
    RecordGeometry,
    RecordImage,
    parse,
    schema,
    to_json,
)

text = st.text(min_size=1, max_size=12)
maybe_text = st.none() | text
unit = st.floats(0, 1)
box = st.tuples(st.integers(0, 99), st.integers(0, 99), st.integers(1, 99), st.integers(1, 99))
images = st.builds(
    RecordImage,
    path=text,
    name=text,
    sha256=st.none() | st.text("0123456789abcdef", min_size=64, max_size=64),
    width=st.none() | st.integers(1, 9999),
    height=st.none() | st.integers(1, 9999),
)
geometries = st.builds(
    RecordGeometry,
    kind=st.sampled_from(["aligned", "square", "official"]),
    size=st.integers(64, 4096),
    grid=st.tuples(st.integers(1, 512), st.integers(1, 512)),
)
instances = st.builds(Instance, box=box, area=st.integers(1, 10**6), score=st.none() | unit)
rles = st.fixed_dictionaries({"size": st.lists(st.integers(1, 99), min_size=2, max_size=2), "counts": text})
texts = (
    "prompt",
    "predictor",
    "model",
    "model_digest",
    "ldm",
    "ldm_digest",
    "mask",
    "overlay",
    "prob",
    "error",
)
records = st.builds(
    Record,
    image=images,
    phrase=text,
    label=text,
    seed=st.none() | st.integers(0, 2**63),
    draws=st.none() | st.integers(1, 99),
    geometry=st.none() | geometries,
    threshold=st.none() | unit,
    score=st.none() | unit,
    area=st.none() | st.integers(0, 10**8),
    box=st.none() | box,
    instances=st.none() | st.lists(instances, max_size=3).map(tuple),
    rle=st.none() | rles,
    **dict.fromkeys(texts, maybe_text),
)
SMALL = Record(RecordImage("a.png", "a.png"), "lamp", "lamp")


@given(records)
def test_round_trip(record: Record) -> None:
    line = to_json(record)
    assert parse(line) == record
    assert line.isascii()
    assert line.isprintable()
    assert list(json.loads(line)) == sorted(json.loads(line))


@given(records)
def test_every_record_fits_the_schema(record: Record) -> None:
    jsonschema.Draft202012Validator(schema()).validate(json.loads(to_json(record)))


def test_the_schema_is_one_and_describes_every_field() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    fields = {field.name for field in dataclasses.fields(Record)}
    assert set(schema()["properties"]) == fields | {"schema"}
    for name, kind in (("image", RecordImage), ("geometry", RecordGeometry)):
        assert set(schema()["properties"][name]["properties"]) == {
            field.name for field in dataclasses.fields(kind)
        }
    assert set(schema()["properties"]["instances"]["items"]["properties"]) == {"box", "area", "score"}


def test_the_schema_refuses_what_is_no_record() -> None:
    validator = jsonschema.Draft202012Validator(schema())
    good = json.loads(to_json(SMALL))
    assert validator.is_valid(good)
    for wrong in (
        {"schema": "other/1"},
        {"phrase": ""},
        {"score": 2},
        {"box": [0, 0, 1]},
        {"area": -1},
        {"image": {}},
    ):
        assert not validator.is_valid(good | wrong)


def test_the_long_optional_fields_are_left_out() -> None:
    data = json.loads(to_json(SMALL))
    assert data["schema"] == SCHEMA
    assert data["mask"] is None
    assert "rle" not in data
    assert "instances" not in data


def test_fields_of_later_versions_are_ignored() -> None:
    data = json.loads(to_json(SMALL)) | {"new": {"x": 1}}
    assert parse(json.dumps(data)) == SMALL


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": "coco"}, "schema is 'coco': expected 'ldznet.record/1'"),
        ({"schema": None}, "schema is None: expected"),
        ({"phrase": None}, "a record: phrase is missing"),
        ({"phrase": 3}, "a record: phrase is 3: expected a string"),
        ({"image": "a.png"}, "a record: image is 'a.png': expected an object"),
        ({"image": {"path": "a.png"}}, "a record: image: name is missing"),
        ({"seed": 1.5}, "a record: seed is 1.5: expected a whole number"),
        ({"score": "high"}, "a record: score is 'high': expected a finite number"),
        ({"threshold": True}, "a record: threshold is True: expected a finite number"),
        ({"threshold": 10**400}, "a record: threshold is 1000"),
        ({"box": [1, 2, 3]}, "a record: box is [1, 2, 3]: expected a list of 4 whole numbers"),
        ({"geometry": {"kind": "square", "size": 352}}, "a record: geometry: grid is missing"),
        ({"instances": [3]}, "a record: instances[0] is 3: expected an object"),
        ({"rle": {"size": [1, 2]}}, "a record: rle: counts is missing"),
    ],
)
def test_wrong_fields_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(AnnotationError, match=re.escape(message)):
        parse(json.dumps(json.loads(to_json(SMALL)) | change))


@pytest.mark.parametrize("line", ["", "lamp", "{", "[1]", "3", '{"score": NaN}', "[" * 100_000, '"\x00"'])
def test_lines_that_are_no_records(line: str) -> None:
    with pytest.raises(AnnotationError) as caught:
        parse(line)
    assert "\n" not in str(caught.value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=3),
        lambda x: st.lists(x) | st.dictionaries(st.sampled_from(["image", "box", "phrase", "geometry"]), x),
    )
)
def test_any_json_gives_a_record_or_an_error(value: Any) -> None:
    line = json.dumps(
        {
            "schema": SCHEMA,
            "phrase": "x",
            "label": "x",
            "image": {"path": "a", "name": "a"},
            "box": value,
            "rle": value,
        }
    )
    assert "\n" not in (refusal(line) or "")


def refusal(line: str) -> str | None:
    try:
        parse(line)
    except AnnotationError as error:
        return str(error)
    return None


def test_no_number_is_not_written() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        to_json(dataclasses.replace(SMALL, score=float("nan")))


def test_the_documentation_tells_of_every_field() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "record.md").read_text(encoding="utf-8")
    for name, part in schema()["properties"].items():
        assert f"`{name}`" in page
        for inner in part.get("properties", {}):
            assert f"`{inner}`" in page or f"`{name}.{inner}`" in page
    example = re.search(r"```json\n(.*?)```", page, re.DOTALL)
    assert example
    jsonschema.Draft202012Validator(schema()).validate(json.loads(example[1]))
    assert parse(example[1]).error is None
