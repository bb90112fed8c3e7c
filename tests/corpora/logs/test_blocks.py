"""Files are read block by block to the same records as at once, with their places."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from routingsim.corpora.logs.blocks import Digest, blocks, sample
from routingsim.corpora.logs.json_blocks import list_inside, unwrapped
from routingsim.errors import CorpusError

Write = Callable[..., Path]
RECORDS = [{"n": k, "text": 'a, "quoted"\nline }] ' * (k % 4), "in": {"x": [k]}} for k in range(40)]


def as_csv() -> str:
    rows = [f'{each["n"]},"{each["text"].replace(chr(34), chr(34) * 2)}"' for each in RECORDS]
    return "n,text\n" + "\n".join(rows) + "\n"


FORMS = {
    "x.jsonl": "\n".join(map(json.dumps, RECORDS)) + "\n",
    "array.json": json.dumps(RECORDS, indent=1),
    "values.json": "\n".join(json.dumps(each, indent=1) for each in RECORDS),
    "x.csv": as_csv(),
}


@pytest.mark.slow
@pytest.mark.parametrize("size", [50, 333, 1 << 20])
@pytest.mark.parametrize("name", FORMS)
def test_blocks_hold_the_same_records_at_the_same_places(
    write: Write, name: str, size: int
) -> None:
    path, digest = write(FORMS[name], name), Digest()
    found, places, numbers = [], [], []
    for rows in blocks(path, {"n", "text"}, size=size, digest=digest):
        assert not rows.lost
        assert set(rows.columns) == {"n", "text"}
        found += zip(map(int, rows.columns["n"]), rows.columns["text"], strict=True)
        places += [rows.lines[k] for k in range(len(rows))]
        numbers += list(rows.numbers)
    assert found == [
        (each["n"], each["text"] or (None if name == "x.csv" else "")) for each in RECORDS
    ]
    assert numbers == list(range(1, 41))
    if name == "x.csv":
        text = FORMS[name].split("\n")
        assert [text[place - 1].split(",")[0] for place in places] == [str(k) for k in range(40)]
    else:
        assert places == numbers
    once = Digest()
    once.update(path.read_bytes())
    assert str(digest) == str(once)


@pytest.mark.parametrize("size", [40, 1 << 20])
def test_damage_is_found_at_its_place_in_every_block(write: Write, size: int) -> None:
    records = [json.dumps(each) for each in RECORDS[:9]]
    records[5] = records[5][:-3]
    lines = write("\n".join(records), "x.jsonl")
    lost = [each for rows in blocks(lines, {"n"}, size=size) for each in rows.lost]
    assert [(each.line, each.unit) for each in lost] == [(6, "line")]
    table = as_csv().replace('\n7,"', '\n7,8,"')
    lost = [each for rows in blocks(write(table, "x.csv"), None, size=size) for each in rows.lost]
    assert [table.split("\n")[each.line - 1][:4] for each in lost] == ["7,8,"]


@pytest.mark.slow
def test_values_that_are_no_objects_are_counted(write: Write) -> None:
    path = write('[{"n": 1}, 3, "}", null, {"n": 2}] tail', "x.json")
    found = list(blocks(path, {"n"}, size=8))
    assert [n for rows in found for n in rows.columns["n"]] == [1, 2]
    said = " ".join(each.reason for rows in found for each in rows.lost)
    assert "values that are no objects" in said
    assert "text after the end of the array is left out" in said


def test_records_inside_an_object_are_found(write: Write) -> None:
    page = {"data": [{"n": 1}, 5, {"n": 2}], "meta": {}}
    rows = sample(write(json.dumps(page, indent=2), "x.json"))
    assert list_inside(rows) == ("data",)
    inner = unwrapped(rows, ("data",), None)
    assert inner.columns["n"] == [1, 2]
    assert [str(each) for each in inner.lost] == [
        f"{rows.file}, row 2: expected an object, found 5"
    ]
    nested = sample(write(json.dumps({"results": {"results": [{"n": 1}]}}), "y.json"))
    assert list_inside(nested) == ("results", "results")
    assert list_inside(sample(write('{"messages": [{"role": "user"}]}', "z.json"))) == ()


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("x.json", b"", "is empty"),
        ("x.jsonl.gz", b"\x1f\x8b\x08\x00broken", "damaged or cut-off gzip file"),
        ("x.zip", b"PK\x03\x04", "zip archive"),
        ("x.parquet", b"PAR1nothing", "damaged or cut-off Parquet file"),
        ("x.json", b"[]", "holds no record"),
        ("x.json", b'{"n": ', "cut off in the middle of a record"),
    ],
)
def test_what_cannot_be_read_at_all_is_named(
    write: Write, name: str, data: bytes, said: str
) -> None:
    with pytest.raises(CorpusError, match=said):
        sample(write(data, name))
