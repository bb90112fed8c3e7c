"""CSV read as whole columns is CSV read record by record."""

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from routingsim.corpora.csv_reader import _by_columns, _by_records, parse_csv
from routingsim.corpora.rows import Rows

SOUND = {
    "plain": b"id,text\n1,one\n2,two\n",
    "no last newline": b"id,text\n1,one\n2,two",
    "blank lines": b"id,text\n\n1,one\n\n2,two\n",
    "CR": b"id,text\r1,one\r2,two\r",
    "CRLF": b"id,text\r\n1,one\r\n2,two\r\n",
    "semicolons": b"id;text\n1;one, or two\n2;\n",
    "quotes": b'id,text\n1,"one, ""two"""\n2,""\n"3",""""\n',
    "a quoted header": b'"id","text"\n"1","one"\n"2","two"\n',
    "names that are not ASCII": "id,text,größe\n1,one,3\n".encode(),
    "newlines in cells": 'id,text\n1,"one\n\ntwo\r\nthree\r"\n2,zwölf\n'.encode(),
    "empty cells": b"id,text\n1,\n,\n",
    "spaces": b"id,text\n 1 , one \n2,\t\n",
    "NUL": b"id,text\n1,a\0b\n",
    "words for nothing": b"id,text\nnull,NA\nNaN,None\n",
}

FAULTY = {
    "a line break in a name": b'id,text,"a\nb"\n1,one,2\n',
    "ragged": b"id,text\n1,one\n2\n3,three,more\n",
    "an open quote": b'id,text\n1,"one\n2,two\n',
    "a quote in a quoted cell": b'id,text\n1,"t"wo\n2,two\n',
    "a quote in a cell": b'id,text\n1,5" wide\n2,6" wide\n',
    "text before a quote": b'id,text\n1,a "b", c\n',
    "text after an empty cell": b'id,text\n1,"" \n2,two\n',
    "text after a doubled quote": b'id,text\n1,"""" \n2,two\n',
    "a space before a quote": b'id,text\n1, "b"\n',
    "invalid UTF-8": b"id,text\n1,\xff\n2,two\n",
    "a line of spaces": b"id,text\n1,one\n  \n2,two\n",
}


def contents(rows: Rows) -> tuple:
    columns = {name: list(values) for name, values in rows.columns.items()}
    return columns, list(rows.lines), list(rows.numbers), rows.lost, rows.delimiter


@pytest.mark.parametrize("case", SOUND)
def test_a_sound_file_is_read_at_once(case: str) -> None:
    rows = _by_columns(SOUND[case], "c.csv")
    assert rows is not None
    assert contents(rows) == contents(_by_records(SOUND[case], "c.csv"))


@pytest.mark.parametrize("case", FAULTY)
def test_a_faulty_file_is_left_to_the_strict_reader(case: str) -> None:
    assert _by_columns(FAULTY[case], "c.csv") is None
    rows = parse_csv(FAULTY[case], "c.csv")
    assert contents(rows) == contents(_by_records(FAULTY[case], "c.csv"))


CELLS = st.text(st.sampled_from('a",;\n\r ö\0'), max_size=4)


@pytest.mark.slow
@given(st.lists(st.tuples(CELLS, CELLS), max_size=4), st.booleans())
@example([("", "")], False)
def test_any_cells_are_read_alike(rows: list[tuple[str, str]], all_quoted: bool) -> None:
    text = io.StringIO()
    quoting = csv.QUOTE_ALL if all_quoted else csv.QUOTE_MINIMAL
    csv.writer(text, quoting=quoting).writerows([("id", "text"), *rows])
    data = text.getvalue().encode()
    assert contents(parse_csv(data, "c.csv")) == contents(_by_records(data, "c.csv"))


@pytest.mark.slow
@given(st.text(st.sampled_from('ab",\n\r'), max_size=12))
def test_any_bytes_are_read_alike(body: str) -> None:
    data = b"id,text\n" + body.encode()
    assert contents(parse_csv(data, "c.csv")) == contents(_by_records(data, "c.csv"))
