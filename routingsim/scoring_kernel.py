"""The compiled half of :mod:`routingsim.scoring`: one pass over Arrow's string buffers.

Importing this module loads numba and the kernel, so
:func:`routingsim.scoring.score_column` does it when first called. All that it knows of
Unicode comes from the running interpreter, so kernel and plain definition agree whatever
the interpreter's Unicode version.
"""

import functools
import re
import unicodedata
from typing import NamedTuple

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

__all__ = ["CharacterTables", "character_tables", "count_texts"]

# What `kinds` says of a code point: two flags, and above them a row of `folds`.
_PUNCTUATION, _SPACE, _FOLD_SHIFT = 1, 2, 2

_END = ord(" ")  # ends a folded token; no token holds a space
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: Fibonacci hashing
_ONE, _ROTATE, _ROTATE_BACK, _UPPER = map(np.uint64, (1, 9, 55, 32))


class CharacterTables(NamedTuple):
    """What the kernel knows of Unicode.

    Attributes
    ----------
    kinds : array of uint16, shape (0x110000,)
        By code point: bit 0, punctuation (categories P and S); bit 1, white space as
        ``str.split`` has it; from bit 2 on, a row of ``folds``, 0 if it folds to itself.
    folds : array of uint8, shape (rows, width)
        Case folds in UTF-8, filled up with zeros. (Nothing folds to U+0000.)
    ascii_folds : array of uint8, shape (128,)
        Case folds of ASCII, every white space made a plain space.
    """

    kinds: NDArray[np.uint16]
    folds: NDArray[np.uint8]
    ascii_folds: NDArray[np.uint8]


@functools.cache
def character_tables() -> CharacterTables:
    """Build the tables from the interpreter's Unicode data, once (about 0.1 s)."""
    kinds = np.zeros(0x110000, np.uint16)
    # Planes 4 to 16 (unassigned, tags, private use) hold no mark, space or cased letter.
    chars = "".join(map(chr, range(0x40000)))
    categories = "".join(map(unicodedata.category, chars)).encode()
    major = np.frombuffer(categories, np.uint8)[::2]  # "Po" -> "P"
    kinds[np.flatnonzero((major == ord("P")) | (major == ord("S")))] = _PUNCTUATION
    kinds[[space.start() for space in re.finditer(r"\s", chars)]] = _SPACE
    folds = [b""]
    for first in range(0, len(chars), 256):
        block = chars[first : first + 256]
        if block.casefold() == block:
            continue
        for code, char in enumerate(block, first):
            if char.casefold() != char:
                kinds[code] |= len(folds) << _FOLD_SHIFT
                folds.append(char.casefold().encode())
    width = max(map(len, folds))
    rows = b"".join(fold.ljust(width, b"\0") for fold in folds)
    ascii_folds = [_END if chr(code).isspace() else ord(chr(code).lower()) for code in range(128)]
    return CharacterTables(
        kinds,
        np.frombuffer(rows, np.uint8).reshape(-1, width),
        np.array(ascii_folds, np.uint8),
    )


def count_texts(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count characters, punctuation and unique tokens of each text.

    Exact: tokens of equal hash are compared. Single-threaded; the kernel releases the GIL.

    Parameters
    ----------
    data : array of uint8
        Valid UTF-8. Not checked here: anything else reads out of bounds.
    offsets : array of int64, shape (texts + 1,)
        Text ``i`` is ``data[offsets[i]:offsets[i + 1]]``, as in Arrow's ``large_string``.

    Returns
    -------
    array of int64, shape (3, texts)
        Rows: length in code points, punctuation characters, unique case-folded tokens.
    """
    tables = character_tables()
    longest = int(np.diff(offsets).max(initial=0))
    folded = np.empty(tables.folds.shape[1] * longest + 1, np.uint8)
    slots = np.zeros((2, 1 << longest.bit_length()), np.uint64)
    counts = np.empty((3, offsets.size - 1), np.int64)
    _count(data, offsets, *tables, folded, slots, counts)
    return counts


@njit
def _fold_ascii(text, kinds, ascii_folds, folded):
    """Write the case-folded text; count its punctuation. The compiler vectorises this."""
    marks = 0
    for at in range(text.size):
        byte = text[at]
        marks += kinds[byte] & _PUNCTUATION
        folded[at] = ascii_folds[byte]
    return marks


@njit
def _fold_unicode(text, kinds, folds, ascii_folds, folded):
    """Write the case-folded text, each white space as one byte; count what goes by."""
    at = written = characters = marks = 0
    while at < text.size:
        characters += 1
        lead = np.int64(text[at])
        if lead < 0x80:
            marks += kinds[lead] & _PUNCTUATION
            folded[written] = ascii_folds[lead]
            written += 1
            at += 1
            continue
        if lead < 0xE0:
            width, code = 2, lead & 0x1F
        elif lead < 0xF0:
            width, code = 3, lead & 0x0F
        else:
            width, code = 4, lead & 0x07
        for i in range(at + 1, at + width):
            code = code << 6 | (text[i] & 0x3F)
        kind = kinds[code]
        marks += kind & _PUNCTUATION
        if kind & _SPACE:
            folded[written] = _END
            written += 1
        elif kind >> _FOLD_SHIFT:
            for byte in folds[kind >> _FOLD_SHIFT]:
                if byte:
                    folded[written] = byte
                    written += 1
        else:
            for i in range(at, at + width):
                folded[written] = text[i]
                written += 1
        at += width
    return written, characters, marks


@njit
def _same_token(folded, one, other):
    while folded[one] == folded[other]:
        if folded[one] == _END:
            return True
        one += _ONE
        other += _ONE
    return False


@njit
def _unique_tokens(folded, size, slots, mask, origin):
    """Count distinct tokens in ``folded[:size]``, whose last byte ends a token.

    ``slots`` is an open-addressing hash set shared by all texts: where a token starts, and
    its digest. Starts are stored plus ``origin + 1``, and ``origin`` grows with every text,
    so what an earlier text left is not above it and counts as free: nothing to clear.
    """
    starts, digests = slots
    tokens = start = 0
    digest = np.uint64(0)
    for at in range(size):
        byte = folded[at]
        if byte != _END:
            digest = (digest << _ROTATE | digest >> _ROTATE_BACK) ^ np.uint64(byte)
            continue
        if at > start:
            slot = (digest * _GOLDEN) >> _UPPER & mask
            while starts[slot] > origin and not (
                digests[slot] == digest
                and _same_token(folded, np.uint64(start), starts[slot] - origin - _ONE)
            ):
                slot = (slot + _ONE) & mask
            if starts[slot] <= origin:
                starts[slot] = origin + np.uint64(start + 1)
                digests[slot] = digest
                tokens += 1
        start = at + 1
        digest = np.uint64(0)
    return tokens


_IN_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_IN_FOLDS = types.Array(types.uint8, 2, "C", readonly=True)
_IN_INT64 = types.Array(types.int64, 1, "C", readonly=True)
_SIGNATURE = types.void(
    _IN_BYTES, _IN_INT64, types.uint16[::1], _IN_FOLDS, types.uint8[::1],
    types.uint8[::1], types.uint64[:, ::1], types.int64[:, ::1],
)  # fmt: skip


@njit(_SIGNATURE, nogil=True, cache=True)
def _count(data, offsets, kinds, folds, ascii_folds, folded, slots, counts):
    origin = np.uint64(0)
    for row in range(offsets.size - 1):
        text = data[offsets[row] : offsets[row + 1]]
        any_bits = np.uint8(0)
        for byte in text:
            any_bits |= byte
        if any_bits < 0x80:
            size = characters = text.size
            marks = _fold_ascii(text, kinds, ascii_folds, folded)
        else:
            size, characters, marks = _fold_unicode(text, kinds, folds, ascii_folds, folded)
        folded[size] = _END
        mask = _ONE
        while mask < np.uint64(text.size):  # at least twice as many slots as there can be
            mask = mask << _ONE | _ONE  # tokens, and few enough to stay in cache
        counts[0, row] = characters
        counts[1, row] = marks
        counts[2, row] = _unique_tokens(folded, size + 1, slots, mask, origin)
        origin += np.uint64(size + 1)
