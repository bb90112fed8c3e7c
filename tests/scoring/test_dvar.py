"""D_var by its definition, and columns of any kind held to it."""

import math
import subprocess
import sys
import unicodedata

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routingsim.errors import CorpusError, PolicyError
from routingsim.scoring.dvar import DEFAULT_WEIGHTS, DvarWeights, d_var, score, score_column

COUNTS = ["length", "punctuation", "unique_tokens"]

# Texts in which white space, folds and marks meet far more often than by chance.
TRICKY = (
    " \t\n\v\f\r\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
    "\0\x7f\u180e\u200b\u200d\u2060\ufeff"  # look like white space, are none
    "aAsSßẞiIıİσςΣŉǰΐΰﬀﬁﬃﬅᾳᾼK\u212bÅ\u0345\u0307\u0130Ꭰꭰ𐐀𐐨"
    ".,_-$+<=>^`|~«»–—“”…€∑→。、「」😀👍🏽👨\U0001faf8\U000e0041\ue000\U0010ffff\u0378"
)
# The kernel looks at 8 bytes together, and at 64: tokens about as long, and multiples of them.
LENGTHS = (1, 2, 7, 8, 9, 15, 16, 17, 24, 25, 31, 32, 33, 63, 64, 65, 129)
tokens = st.builds(
    lambda char, length, last: char * length + last,
    st.sampled_from("aAbéÉ你😀"),
    st.sampled_from(LENGTHS),
    st.sampled_from(["", "a", "B", ".", "é", "\0"]),
)
texts = st.one_of(
    st.text(),  # everything but surrogates
    st.text(st.sampled_from(TRICKY)),
    st.text(st.characters(codec="ascii"), max_size=200),
    st.lists(
        st.sampled_from(["Straße", "STRASSE", "strasse", "ΟΔΟΣ", "οδος", "i̇", "İ", "the"])
    ).map(" ".join),
    st.lists(st.one_of(tokens, st.sampled_from(["", "\n", "\u3000"])), max_size=30).map(" ".join),
)


def definition(text: str) -> tuple[int, int, int]:
    marks = [char for char in text if unicodedata.category(char).startswith(("P", "S"))]
    return len(text), len(marks), len({token.casefold() for token in text.split()})


def counts(text: str) -> tuple[int, int, int]:
    factors = score(text).factors
    return factors.length, factors.punctuation, factors.unique_tokens


def column_counts(column) -> list[tuple[int, int, int]]:
    return list(score_column(column)[COUNTS].itertuples(index=False, name=None))


def test_fixed_points():
    assert round(d_var(118, 2, 13), 3) == 0.652
    assert d_var(0, 0, 0) == 0.0
    assert d_var(25, 2, 15) == 0.5  # every factor at half its weight
    assert score("").d_var == 0.0
    result = score("Implement a binary search in Python with type hints")
    assert counts("Implement a binary search in Python with type hints") == (51, 0, 9)
    assert result.d_var == pytest.approx(0.5 * 51 / 76 + 0.3 * 9 / 24)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", (0, 0, 0)),
        (" \t\n\x1c\x1f\x85\u2003\u3000", (8, 0, 0)),
        ("the The THE", (11, 0, 1)),
        ("ss SS ß ẞ ſs", (12, 0, 1)),
        ("ΟΔΟΣ οδος οδοσ", (14, 0, 1)),
        ("İ i̇ i I ı", (10, 0, 3)),
        ("ﬃ FFI ffi ﬀi", (12, 0, 1)),
        ("abcdefgh abcdefgi abcdefgh.", (27, 1, 3)),
        ("a\x1cb\x1db\x1ea\x1fb\x85a\xa0c\u2009c\u3000a", (17, 0, 3)),
        ("a\u200bb a\u200db \ufeff \x00 \x00\x00", (14, 0, 5)),
        ("👨‍👩‍👧 👍🏽 👍", (10, 6, 3)),
        ("مرحبا بالعالم، مرحبا؟", (21, 2, 3)),
        ("请用 Python 写二分查找。", (16, 1, 3)),
        ("你好世界你好世界", (8, 0, 1)),
        ("naïve € café_x $5", (17, 3, 4)),
    ],
)
def test_known_texts(text, expected):
    assert definition(text) == expected
    assert counts(text) == expected
    assert column_counts([text]) == [expected]


@pytest.mark.slow
@given(st.lists(texts, max_size=6))
def test_the_column_equals_the_definition(column):
    assert [counts(text) for text in column] == [definition(text) for text in column]
    frame = score_column(column)
    assert list(frame[COUNTS].itertuples(index=False, name=None)) == list(map(definition, column))
    assert frame["d_var"].tolist() == [score(text).d_var for text in column]  # to the last bit


@given(
    st.tuples(*[st.integers(0, 10**6)] * 3),
    st.integers(0, 2),
    st.integers(1, 10**6),
)
def test_rises_in_each_factor_and_stays_below_one(at, factor, step):
    more = list(at)
    more[factor] += step
    assert 0.0 <= d_var(*at) < d_var(*more) < 1.0


def test_formula_on_arrays_equals_the_formula_on_numbers():
    length, marks, tokens = np.random.default_rng(5).integers(0, 5000, (3, 100))
    rows = zip(length.tolist(), marks.tolist(), tokens.tolist(), strict=True)
    assert d_var(length, marks, tokens).tolist() == [d_var(*row) for row in rows]
    assert d_var(length, marks, tokens).dtype == np.float64


def test_weights_are_used_and_hashable():
    only_length = DvarWeights(length=1.0, punctuation=0.0, unique_tokens=0.0, half_length=10.0)
    assert score("x" * 30, only_length).d_var == 0.75
    assert score_column(["x" * 30], only_length)["d_var"].tolist() == [0.75]
    assert len({DvarWeights(), DEFAULT_WEIGHTS, only_length}) == 2


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"length": -0.1}, "length is -0.1: it must be finite and 0 or more"),
        ({"half_length": 0}, "half_length is 0: it must be finite and more than 0"),
        ({"half_punctuation": math.inf}, "half_punctuation is inf"),
        ({"punctuation": math.nan}, "punctuation is nan"),
        ({"length": 0.6}, r"add up to 1\.1"),
    ],
)
def test_bad_weights_are_refused(change, complaint):
    with pytest.raises(PolicyError, match=complaint):
        DvarWeights(**change)


COLUMN = ["Straße, bitte!", "", "naïve café", "plain ascii text", "请用。", "x"]


@pytest.mark.parametrize(
    "make",
    [
        list,
        tuple,
        iter,
        np.array,
        pd.Series,
        lambda t: pd.Series(t, dtype=object),
        lambda t: pd.Series(t, dtype="category"),
        lambda t: pd.Series(t, dtype=pd.StringDtype("python")),
        lambda t: pd.Series(t, dtype=pd.StringDtype("pyarrow")),
        lambda t: pd.Series(t, dtype=pd.ArrowDtype(pa.string())),
        lambda t: pd.Series(["no", *t, "no"]).iloc[1:-1],
        pa.array,
        lambda t: pa.array(t, pa.large_string()),
        lambda t: pa.array(t, pa.string_view()),
        lambda t: pa.array(["nö", *t, "no"]).slice(1, len(t)),
        lambda t: pa.array(["nö", *t, "no"], pa.large_string()).slice(1, len(t)),
        lambda t: pa.chunked_array([t[:2], [], t[2:]], pa.string()),
        lambda t: pa.chunked_array([t[:1], t[1:2], t[2:]], pa.large_string()),
    ],
)
def test_every_kind_of_column_gives_the_same(make):
    assert column_counts(make(COLUMN)) == list(map(definition, COLUMN))


@pytest.mark.parametrize(
    "empty",
    [
        [],
        pd.Series([], dtype="str"),
        pd.Series([], dtype=object),
        pa.array([], pa.string()),
        pa.chunked_array([], pa.large_string()),
    ],
)
def test_empty_columns(empty):
    frame = score_column(empty)
    assert frame.dtypes.astype(str).to_dict() == {
        "d_var": "float64",
        "length": "int64",
        "punctuation": "int64",
        "unique_tokens": "int64",
    }
    assert len(frame) == 0


def test_only_empty_texts():
    assert column_counts(["", ""]) == [(0, 0, 0)] * 2
    assert column_counts(pa.array(["", ""], pa.large_string())) == [(0, 0, 0)] * 2


def test_a_series_keeps_its_index():
    series = pd.Series(["a", "b c"], index=["first", "second"])
    assert score_column(series).loc["second", "unique_tokens"] == 2


@pytest.mark.parametrize(
    ("column", "complaint"),
    [
        (["a", "b", None], "row 2 .* NoneType None"),
        (["a", b"b"], "row 1 .* bytes"),
        (["a", 3.5], "row 1 .* float 3.5"),
        (pd.Series(["a", None, "b", None]), "row 1 .* null, as are 2 in all"),
        (pd.Series(["a", None], dtype=object), "row 1 "),
        (pa.chunked_array([["a"], ["b", None]]), "row 2 .* null"),
        (pa.array([1, 2]), "of type int64: it must be string"),
        (pd.Series([1, 2]), "row 0 .* int"),
        (["a", "b\ud800"], r"row 1 .* lone surrogate, '\\ud800' at character 1"),
    ],
)
def test_bad_rows_are_named(column, complaint):
    with pytest.raises(CorpusError, match=complaint):
        score_column(column)


def test_bytes_that_are_not_utf8_are_refused():
    offsets = pa.py_buffer(np.array([0, 1, 3], np.int64))
    broken = pa.Array.from_buffers(
        pa.large_string(), 2, [None, offsets, pa.py_buffer(b"a\xf4\x41")]
    )
    with pytest.raises(CorpusError, match=r"not valid UTF-8.*index 1"):
        score_column(broken)


def test_one_text_is_not_a_column_and_a_number_not_a_text():
    with pytest.raises(TypeError, match=r"call score\(\)"):
        score_column("a text")
    with pytest.raises(TypeError, match="not a DataFrame"):
        score_column(pd.DataFrame({"text": ["a"]}))
    with pytest.raises(TypeError, match="takes a str, not int: 5"):
        score(5)  # pyright: ignore[reportArgumentType]


@pytest.mark.slow
def test_scoring_one_text_does_not_load_the_compiler():
    code = (
        "import sys; from routingsim.scoring.dvar import score; score('é!'); "
        "print([m for m in ('numba', 'routingsim.scoring.kernel') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
