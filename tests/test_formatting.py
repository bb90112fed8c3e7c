"""Numbers as people read them."""

import math

import pytest

from routingsim.formatting import cells, duration, isolated, joined, number, percent, short, usd


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1240.4, "1,240"),
        (9.996, "10.0"),
        (12.34, "12.3"),
        (-0.03123, "-0.0312"),
        (math.nan, "–"),
    ],
)
def test_number(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (1, "100 %"), (0.312, "31 %"), (0.0312, "3.1 %"), (0.9999, "99.99 %"),
     (0.9945, "99.4 %"),     (0.99999, "99.99 %"), (0.0004, "0.04 %"), (1.25, "125 %")],
)  # fmt: skip
def test_percent_is_never_rounded_to_all_or_nothing(share: float, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.0312, "0.031 s"), (1.84, "1.8 s"), (59.6, "59.6 s"), (240, "4.0 min"),
     (7_200, "2.0 h"), (1e6, "12 days")],
)  # fmt: skip
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0292, "USD 0.0292"), (4.2, "USD 4.20"), (0.9999, "USD 1.00"), (1240, "USD 1,240")],
)
def test_usd(value: float, text: str) -> None:
    assert usd(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(7.8e-5, "0.000078"), (12_345.678, "12,346"), (2.0, "2"), (100.0, "100"), (0.0, "0"),
     (-1 / 3, "-0.3333"), (1e-12, "1e-12"), (float("inf"), "inf")],
)  # fmt: skip
def test_a_short_number_has_no_exponent_and_no_zeros_at_its_end(value: float, text: str) -> None:
    assert short(value) == text


def test_joined() -> None:
    assert joined(["a"]) == "a"
    assert joined(["a", "b", "c"]) == "a, b and c"
    assert joined(list("abcdef"), 2) == "a, b and 4 more"


def test_a_column_has_one_number_of_decimals() -> None:
    assert cells([12.345, 0.0, None, 3.0], "number") == ["12.3", "0.0", "–", "3.0"]
    assert cells([2.0, 1.5], "number") == ["2.0", "1.5"]
    assert cells([0.000386, 0.5], "seconds") == ["0.000", "0.500"]
    assert cells([None, None], "number") == ["–", "–"]
    assert cells([0.3124], "percent") == ["31.2"]
    assert cells([1240], "count") == ["1,240"]
    assert cells([-0.0004], "percent") == ["0.0"]


def test_decimals_show_the_largest_and_the_smallest() -> None:
    assert cells([17.71, 0.029], "number") == ["17.71", "0.03"]
    assert cells([1240.0, 0.000029], "number") == ["1,240.00", "0.00"]  # two more at most
    assert cells([435.39, 0.0, 0.013], "seconds") == ["435.39", "0.00", "0.01"]
    assert cells([0.0, 0.02], "seconds") == ["0.00", "0.02"]
    assert cells([7200.4, 120.3], "seconds") == ["7,200", "120"]
    assert cells([None, 1.0], "number", absent="-") == ["-", "1"]
    assert cells([1.0], "seconds", 2) == ["1.00"]  # as another column has


def test_means_and_half_widths_have_as_many_decimals() -> None:
    assert cells([(0.8726, 0.0075), (0.79, 0.0101)], "interval") == [
        "0.8726 ± 0.0075",
        "0.7900 ± 0.0101",
    ]
    assert cells([(14.97, 0.44), (0.0292, 0.0011)], "interval") == [
        "14.970 ± 0.440",
        "0.029 ± 0.001",
    ]
    # A half-width below the last digit is not nothing.
    assert cells([(1012.3, 17.0), (1.243, 0.0042)], "interval") == [
        "1,012.30 ± 17.00",
        "1.24 ± 0.01",
    ]
    assert cells([(None, None), (3.25, None)], "interval") == ["–", "3.25"]


def test_names_from_right_to_left_are_isolated() -> None:
    assert isolated("مرحبا") == "\u2068مرحبا\u2069"
    assert isolated("tasks 😀") == "tasks 😀"
