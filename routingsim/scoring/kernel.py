"""The compiled half of :mod:`routingsim.scoring.dvar`: one pass over Arrow's string buffers.

Importing this module loads numba and the kernel, so
:func:`routingsim.scoring.dvar.score_column` imports it when first called. Its Unicode tables
come from the running interpreter, so the kernel agrees with the plain definition under any
version of Unicode.

Each text is copied to a buffer and followed by a block of spaces, so that words and blocks can be
read at any place of the text (:mod:`routingsim.scoring.simd`) without reading beyond it in
Arrow's buffer. A text that is not all ASCII is decoded character by character. ASCII is folded
and classified by the block, and tokens are hashed and compared by the word.
"""

import functools
import re
import unicodedata
from typing import NamedTuple

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from routingsim.compiled import cached_njit
from routingsim.scoring import simd

# CharacterTables: the flag in `kinds`, and the bits from which a place and a length begin.
_PUNCTUATION, _FOLD_SHIFT, _LENGTH_SHIFT = 1, 1, 56

_END = ord(" ")  # ends a folded token; no token holds a space
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: Fibonacci hashing
_NOT_ASCII = np.uint64(0x8080808080808080)
_SPACES = np.uint64(0x2020202020202020)
_FULL = np.uint64(2**64 - 1)
_NEVER = np.uint64(0xFF)  # a byte that is in no UTF-8 text
_ZERO, _ONE, _TWO, _BYTE, _HALF, _LAST = map(np.uint64, (0, 1, 2, 8, 32, 63))

_inlined = njit(forceinline=True)  # a call counts references to arrays, which costs more


class CharacterTables(NamedTuple):
    """Unicode properties that the kernel looks up."""

    kinds: NDArray[np.uint16]
    """By code point: bit 0, punctuation (categories P and S); from bit 1 on, a place in
    ``folds``, 0 if it folds to itself."""
    folds: NDArray[np.uint64]
    """Case folds in UTF-8, the first byte lowest, and in the top byte how many bytes they have.
    White space, as ``str.split`` has it, folds to a plain space."""


@functools.cache
def character_tables() -> CharacterTables:
    """Build the tables from the interpreter's Unicode data, once (about 0.1 s)."""
    kinds = np.zeros(0x110000, np.uint16)
    # Planes 4 to 16 (unassigned, tags, private use) hold no mark, space or cased letter.
    chars = "".join(map(chr, range(0x40000)))
    categories = "".join(map(unicodedata.category, chars)).encode()
    major = np.frombuffer(categories, np.uint8)[::2]  # "Po" -> "P"
    kinds[np.flatnonzero((major == ord("P")) | (major == ord("S")))] = _PUNCTUATION
    spaces = {space.start(): " " for space in re.finditer(r"\s", chars)}
    folds = [0]
    for first in range(0, len(chars), 256):
        block = chars[first : first + 256]
        if block.casefold() == block and not spaces.keys() & range(first, first + 256):
            continue
        for code, char in enumerate(block, first):
            fold = spaces.get(code, char.casefold()).encode()
            if fold != char.encode():
                kinds[code] |= len(folds) << _FOLD_SHIFT
                folds.append(int.from_bytes(fold, "little") | len(fold) << _LENGTH_SHIFT)
    return CharacterTables(kinds, np.array(folds, np.uint64))


def count_texts(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count characters, punctuation and unique tokens of each text.

    Text ``i`` is ``data[offsets[i]:offsets[i + 1]]``, as in Arrow's ``large_string``. It must be
    valid UTF-8, which is not checked: anything else reads out of bounds. Rows of the answer,
    shape (3, texts), are length in code points, punctuation characters and unique case-folded
    tokens: exact, since tokens of equal hash are compared.
    """
    longest = int(np.diff(offsets).max(initial=0))
    # A fold makes at most seven bytes of two. A block of spaces follows each text.
    most = 4 * longest + simd.BLOCK
    buffer = np.empty(most + longest + simd.BLOCK, np.uint8)
    borders = np.empty(longest + simd.BLOCK, np.int64)
    starts, digests = np.zeros((2, 2 << longest.bit_length()), np.uint64)
    counts = np.empty((3, offsets.size - 1), np.int64)
    _count(
        data, offsets, *character_tables(), most, buffer, borders, starts, digests, counts
    )  # fmt: skip
    return counts


@_inlined
def _copy(data, start, size, buffer, first):
    """Copy a text to ``buffer[first:]``; return whether it is all ASCII."""
    seen = _ZERO
    for at in range(0, size - simd.WORD, simd.WORD):
        word = simd.load_word(data, start + at)
        simd.store_word(buffer, first + at, word)
        seen |= word
    if size >= simd.WORD:  # the last word may overlap the one before
        word = simd.load_word(data, start + size - simd.WORD)
        simd.store_word(buffer, first + size - simd.WORD, word)
        return not (seen | word) & _NOT_ASCII
    for at in range(size):
        byte = data[np.uint64(start + at)]
        buffer[np.uint64(first + at)] = byte
        seen |= np.uint64(byte)
    return not seen & _NOT_ASCII


@_inlined
def _fold_unicode(buffer, at, stop, kinds, folds):
    """Copy ``buffer[at:stop]`` to the buffer's start with all but its ASCII folded.

    Return its new size, its number of characters, and how many are punctuation outside ASCII.
    Whole words are written: each overwrites the surplus bytes of the one before.
    """
    written = characters = marks = 0
    while at < stop:
        word = np.int64(simd.load_word(buffer, at))
        simd.store_word(buffer, written, np.uint64(word))
        lead = word & 0xFF
        if lead < 0x80:
            others = np.uint64(word) & _NOT_ASCII
            run = min(simd.first_bit(others) >> 3 if others else simd.WORD, stop - at)
            at += run
            written += run
            characters += run
            continue
        second, third, fourth = word >> 8 & 0x3F, word >> 16 & 0x3F, word >> 24 & 0x3F
        if lead < 0xE0:
            width, code = 2, (lead & 0x1F) << 6 | second
        elif lead < 0xF0:
            width, code = 3, (lead & 0x0F) << 12 | second << 6 | third
        else:
            width, code = 4, (lead & 0x07) << 18 | second << 12 | third << 6 | fourth
        at += width
        characters += 1
        kind = np.int64(kinds[code])
        marks += kind & _PUNCTUATION
        if kind >> _FOLD_SHIFT:
            fold = folds[kind >> _FOLD_SHIFT]
            simd.store_word(buffer, written, fold)
            width = np.int64(fold >> np.uint64(_LENGTH_SHIFT))
        written += width
    return written, characters, marks


@_inlined
def _find_tokens(buffer, first, size, borders):
    """Fold the ASCII of ``buffer[first:first + size]``, which a block of spaces follows.

    Return the number of its punctuation characters, and of its ``borders``: the places where
    each token starts and ends, in turn.
    """
    marks = found = 0
    before = _ONE  # what comes before a block, as a bit: at first, white space
    for block in range(first, first + size + 1, simd.BLOCK):
        spaces, more = simd.fold_block(buffer, block)
        marks += more
        changes = spaces ^ (spaces << _ONE | before)
        before = spaces >> _LAST
        last = found + simd.count_bits(changes)
        while found < last:  # eight at a time, since a branch at each is hard to predict
            for place in range(found, found + 8):
                borders[np.uint64(place)] = block + simd.first_bit(changes)
                changes &= changes - _ONE
            found += 8
        found = last
    return marks, found


@_inlined
def _mix(word):
    return (word ^ word >> _HALF) * _GOLDEN


@_inlined
def _digest(buffer, start, end):
    """The token itself if it has up to eight bytes, else a hash that equals no such token.

    A byte that occurs in no UTF-8 text pads a short token, and is the lowest byte of a hash.
    """
    word = simd.load_word(buffer, start)
    if end - start <= simd.WORD:
        return word | _FULL << np.uint64(8 * (end - start - 1)) << _BYTE
    for at in range(start + simd.WORD, end - simd.WORD, simd.WORD):
        word = _mix(word) ^ simd.load_word(buffer, at)
    return _mix(_mix(word) ^ simd.load_word(buffer, end - simd.WORD)) | _NEVER


@_inlined
def _same_token(buffer, one, other, size):
    """Whether two tokens of more than eight bytes are equal; ``one`` has ``size``."""
    last = size - simd.WORD
    for at in range(0, last, simd.WORD):
        if simd.load_word(buffer, one + at) != simd.load_word(buffer, other + at):
            return False
    return (
        simd.load_word(buffer, one + last) == simd.load_word(buffer, other + last)
        and buffer[np.uint64(other + size)] == _END
    )


@_inlined
def _add_token(buffer, start, end, starts, digests, shift, origin):
    """Add a token to the text's set; return 1 if it is new, else 0.

    The set is a hash table with open addressing that holds where a token starts, and its
    digest. All texts share it without clearing: starts are stored plus ``origin + 1``, and
    ``origin`` grows with every text, so that entries of earlier texts are not above it and
    count as free.
    """
    mask = _FULL >> shift
    digest = _digest(buffer, start, end)
    slot = _mix(digest) >> shift
    # Go on while the slot is neither free nor has this digest: one branch, well predicted.
    while min(starts[slot] - min(starts[slot], origin), digests[slot] ^ digest):
        slot = (slot + _ONE) & mask
    if end - start > simd.WORD:
        while starts[slot] > origin and (
            digests[slot] != digest
            or not _same_token(buffer, start, np.int64(starts[slot] - origin) - 1, end - start)
        ):
            slot = (slot + _ONE) & mask
    new = starts[slot] <= origin
    starts[slot] = origin + np.uint64(start + 1)
    digests[slot] = digest
    return np.int64(new)


_IN_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_IN_INT64 = types.Array(types.int64, 1, "C", readonly=True)
_SIGNATURE = types.void(
    _IN_BYTES, _IN_INT64, types.uint16[::1], types.uint64[::1], types.int64, types.uint8[::1],
    types.int64[::1], types.uint64[::1], types.uint64[::1], types.int64[:, ::1],
)  # fmt: skip


@cached_njit(_SIGNATURE, nogil=True)
def _count(data, offsets, kinds, folds, most, buffer, borders, starts, digests, counts):
    origin = _ZERO
    for row in range(offsets.size - 1):
        first, size = most, offsets[row + 1] - offsets[row]
        # At least four times as many slots as there can be tokens, and few enough to stay in
        # cache.
        shift = np.uint64(63 - simd.bit_length(np.uint64(size) | _ONE))
        characters, marks = size, 0
        if not _copy(data, offsets[row], size, buffer, first):
            size, characters, marks = _fold_unicode(buffer, first, first + size, kinds, folds)
            first = 0
        for at in range(first + size, first + size + simd.BLOCK, simd.WORD):
            simd.store_word(buffer, at, _SPACES)
        ascii_marks, found = _find_tokens(buffer, first, size, borders)
        tokens = 0
        for place in range(_ZERO, np.uint64(found), _TWO):
            start, end = borders[place], borders[place + _ONE]
            tokens += _add_token(buffer, start, end, starts, digests, shift, origin)
        counts[0, row] = characters
        counts[1, row] = marks + ascii_marks
        counts[2, row] = tokens
        origin += np.uint64(buffer.size)
