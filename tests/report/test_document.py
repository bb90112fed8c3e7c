"""Tables of plain values, whatever numpy and pandas gave."""

import math

import numpy as np
import pandas as pd

from routingsim.report.document import Column, Section, Table, aligned, table


def test_a_table_is_built_from_columns() -> None:
    made = table(
        "Caption",
        [
            (Column("name", kind="text"), pd.Index(["a", "b"])),
            (Column("count", kind="count"), np.array([1.0, math.nan])),
            (Column("share", "%", "percent"), pd.Series([0.5, math.inf])),
            (Column("both", kind="interval"), [(np.float64(1.5), 0.25), (math.nan, math.nan)]),
        ],
        ["red", "blue"],
    )
    assert made.rows == (("a", 1, 0.5, (1.5, 0.25)), ("b", None, None, (None, None)))
    assert type(made.rows[0][1]) is int
    assert made.colours == ("red", "blue")
    assert made.texts() == [("a", "1", "50.0", "1.50 ± 0.25"), ("b", "–", "–", "–")]
    assert table("Caption", [(Column("name"), [])]).texts() == []


def test_the_title_of_a_column() -> None:
    assert Column("cost", "USD").title == "cost (USD)"
    assert Column("cost").title == "cost"


def test_columns_of_one_thing_have_as_many_decimals_in_all_tables() -> None:
    wait, cost = Column("mean wait", "s", "seconds"), Column("cost", "USD")
    first = table("A", [("agent", ["x"]), (wait, [0.0]), (cost, [12.0])])
    second = table("B", [("agent", ["x"]), (Column("p95", "s", "seconds"), [4.25]), (cost, [0.5])])
    other = table("C", [("figure", ["s", "USD"]), (Column("mean"), [9.75, 0.04])], of_row=True)
    shown = aligned(
        [Section("one", "One", (), (first,)), Section("two", "Two", (), (second, other))]
    )
    texts = [block.texts() for each in shown for block in each.blocks if isinstance(block, Table)]
    assert texts == [
        [("x", "0.00", "12.0")],
        [("x", "4.25", "0.5")],
        [("s", "9.75"), ("USD", "0.04")],
    ]
    assert first.texts() == [("x", "0", "12")]
