"""The compiled kernel and its blocks (kernel.py, simd.py), held to the plain definition."""

import os
import random
import string
import subprocess
import sys
import threading
import unicodedata

import numpy as np
import pytest

from routingsim.scoring.dvar import score, score_column
from routingsim.scoring.kernel import _digest

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


def definition(text: str) -> tuple[int, int, int]:
    marks = [char for char in text if unicodedata.category(char).startswith(("P", "S"))]
    return len(text), len(marks), len({token.casefold() for token in text.split()})


def column_counts(column) -> list[tuple[int, int, int]]:
    return list(score_column(column)[COUNTS].itertuples(index=False, name=None))


def is_plain(char: str) -> bool:
    """Whether a character is neither a mark nor white space, and its own fold."""
    mark = unicodedata.category(char).startswith(("P", "S"))
    return char.casefold() == char and not mark and not char.isspace()


@pytest.mark.slow
def test_every_code_point_alone_and_folded():
    chars = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    # Alone; then between letters, beside its own fold: one token, two, or white space.
    padded = [f"x{char}y x{char.casefold()}y" for char in chars]
    others = [at for at, char in enumerate(chars) if not is_plain(char)]
    for column, length in ((chars, 1), (padded, 7)):
        found = score_column(column)[COUNTS].to_numpy()
        expected = np.tile((length, 0, 1), (len(column), 1))
        expected[others] = [definition(column[at]) for at in others]
        wrong = np.flatnonzero((found != expected).any(axis=1))
        assert wrong.size == 0, f"U+{ord(chars[wrong[0]]):04X}: {found[wrong[0]]}"
    marks = [char for char in chars if unicodedata.category(char)[0] in "PS"]
    assert score("".join(chars)).factors.punctuation == len(marks)
    assert "".join(marks[: len(string.punctuation)]) == string.punctuation


def test_ascii_at_every_place_of_a_block():
    column = [f"{'a' * at}{chr(code)}b" for code in range(128) for at in range(70)]
    assert column_counts(column) == list(map(definition, column))


def test_tokens_of_every_length_at_every_place():
    column = []
    for length in (*range(1, 36), *range(60, 70)):
        token = "".join(random.Random(length).choices("abcdefgh", k=length))
        for before in range(0, 66, 1 if length in LENGTHS else 13):
            others = f"{token.upper()} {token}x {token[:-1]} x{token[1:]} {token}"
            column.append(f"{'.' * before} {token}\t{others}")
            column.append(f"{'.' * before}é{token}\u2003é{others}")
    assert column_counts(column) == list(map(definition, column))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("one", "other"),
    # Found by running the digest's arithmetic backwards from words drawn at random. They differ
    # in the first eight bytes, in the last eight, and in length.
    [
        ("nyuvdvdcdlibcwdb", "g6e9|^e+dlibcwdb"),
        ("omkjgwterngwikca", "omkjgwter3s:<c[9"),
        ("wxflqgxnpsoiqhod", "wxflqgxnpsoiqhod'\\=t'c4!"),
    ],
)
def test_tokens_of_equal_digest_are_told_apart(one, other):
    first, second = (np.array(list(token.encode()), np.uint8) for token in (one, other))
    assert _digest(first, 0, first.size) == _digest(second, 0, second.size)
    column = [f"{one} {other}", f"{other} {one}", f"{one} {other.upper()} {one} {other}", one]
    assert column_counts(column) == list(map(definition, column))
    assert score_column(column)["unique_tokens"].tolist() == [2, 2, 2, 1]


def test_long_text_among_short_ones():
    words = [f"Wörd{i % 30_011}" for i in range(22_000)]
    long = " ".join(words)
    assert len(long) > 200_000
    column = ["short one", long, "", "a b c a", long.upper(), "naïve"]
    assert column_counts(column) == list(map(definition, column))
    dense = " ".join(map(chr, range(0x4E00, 0x9000)))  # as many tokens as a text can hold
    assert column_counts([dense]) == [definition(dense)]


def test_texts_do_not_see_each_other():
    assert score_column(["a b", "a b", "b a", "c"])["unique_tokens"].tolist() == [2, 2, 2, 1]


@pytest.mark.slow
def test_the_kernel_stays_within_its_buffers(tmp_path):
    # One text a call, so that it sizes the buffers: dense tokens, folds that grow the text.
    # On the plainest processor of its kind, too.
    code = f"""
from routingsim.scoring.dvar import score, score_column
def check(*texts):
    counted = score_column(list(texts))["d_var"].tolist()
    assert counted == [score(text).d_var for text in texts], texts
for piece in ("a", "a ", " ", "\u0390", "\u0390 ", "\ufb03", "\u4e2d ", "\u3000", "😀 "):
    for times in (*range(1, 35), 63, 64, 65, 127, 128, 129):
        check(piece * times)
        check("".join(map(chr, range(0x370, 0x370 + times))), piece * times)
check({TRICKY!r}, " ".join({TRICKY!r}))
print("done")
"""
    checked = {
        **os.environ,
        "NUMBA_BOUNDSCHECK": "1",
        "NUMBA_CACHE_DIR": str(tmp_path),
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
    }
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=checked)
    assert done.stdout.strip() == "done", done.stderr


def test_threads_share_nothing():
    columns = [[f"{word} {word} {i}" for i in range(2000)] for word in ("a", "bé", "C", "d")]
    found = {}

    def work(key):
        found[key] = column_counts(columns[key])

    threads = [threading.Thread(target=work, args=(key,)) for key in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[key] for key in range(4)] == [list(map(definition, c)) for c in columns]
