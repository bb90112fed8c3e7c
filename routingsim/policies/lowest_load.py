"""The lowest load of agents, eight at once.

A loop over a few agents spends most of its time on mispredicted branches, since which agent is less
loaded than those before it cannot be predicted. Numba has no vector types, so compiled code here
consists of LLVM's vector instructions, which have no branches. LLVM compiles them to those of the
processor: AVX-512, AVX2, NEON.

Loads are compared as words. Where all agents have as many slots, the word is the number of tasks;
else it is that of the floating-point number tasks / slots, since words of numbers of 0 or more
are in the order of the numbers. Which of eight agents have a word is told by a word too, with a
byte of 1 for each.

A policy's memory may say which agents it chooses among: a number for each eight, whose bits are 1
for those that are meant (:func:`bits`). Functions take the memory and the place where these
numbers begin, -1 for all agents.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload, register_jitable
from numpy.typing import NDArray

EIGHT = 8
_ALL = 0xFF
_NOBODY = (1 << 63) - 1  # the word of an agent that is down

_BIT, _BYTE, _INT32, _WORD = map(ir.IntType, (1, 8, 32, 64))
_WORDS, _BITS = ir.VectorType(_WORD, EIGHT), ir.VectorType(_BIT, EIGHT)
_DOUBLES = ir.VectorType(ir.DoubleType(), EIGHT)
_NOTHING = ir.Constant(_WORDS, None)
_INLINED: Any = {"forceinline": True}
_emitted: Any = intrinsic  # typed to take any arguments


@register_jitable
def load_of(pool, a):
    """The load of agent ``a``, (busy + queued) / slots; infinite where it is down."""
    return (pool.busy[a] + pool.queued[a]) / pool.slots[a] if pool.up[a] else math.inf


def bits(agents: Sequence[int], size: int) -> NDArray[np.float64]:
    """Which of ``size`` agents are meant: a number for each eight."""
    meant = np.zeros(-(-size // EIGHT) * EIGHT, bool)
    meant[list(agents)] = True
    return np.packbits(meant, bitorder="little").astype(np.float64)


def _all(builder, word):
    """The same word eight times."""
    one = builder.insert_element(ir.Constant(_WORDS, ir.Undefined), word, _INT32(0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(_INT32, EIGHT), None))


def _reader(context, builder, kind, pool, at):
    """A function that reads eight words of a column of the pool, and which of them there are.

    Words past the end are read as 0.
    """

    def column(name):
        k = kind.held.fields.index(name)
        array = builder.load(cgutils.gep_inbounds(builder, pool, 0, k))
        return context.make_array(kind.held.types[k])(context, builder, array)

    def read(name):
        place = builder.bitcast(builder.gep(column(name).data, [at]), _WORDS.as_pointer())
        return builder.call(load, [place, _INT32(8), there, _NOTHING])

    left = builder.sub(builder.extract_value(column("up").shape, 0), at)
    there = builder.icmp_signed("<", ir.Constant(_WORDS, list(range(EIGHT))), _all(builder, left))
    takes = ir.FunctionType(_WORDS, [_WORDS.as_pointer(), _INT32, _BITS, _WORDS])
    name = "llvm.masked.load.v8i64.p0v8i64"
    load = cgutils.get_or_insert_function(builder.module, takes, name)
    return read, there


def _loads(context, builder, kind, pool, at, among, alike):
    """The words of eight loads, of which bits in ``among`` say whose are wanted."""
    read, _ = _reader(context, builder, kind, pool, at)
    tasks = builder.add(read("busy"), read("queued"))
    before = builder.block
    with builder.if_then(builder.not_(alike)):
        slots = builder.sitofp(read("slots"), _DOUBLES)
        share = builder.bitcast(builder.fdiv(builder.sitofp(tasks, _DOUBLES), slots), _WORDS)
        divided = builder.block
    found = builder.phi(_WORDS)
    found.add_incoming(tasks, before)
    found.add_incoming(share, divided)
    wanted = builder.bitcast(builder.trunc(among, _BYTE), _BITS)
    wanted = builder.and_(wanted, builder.icmp_signed(">", read("up"), _NOTHING))
    return builder.select(wanted, found, ir.Constant(_WORDS, [_NOBODY] * EIGHT))


@register_jitable(**_INLINED)
def _among(memory, first, at):
    """Which of eight agents are meant, as bits."""
    return int(memory[first + at // EIGHT]) if first >= 0 else _ALL


@_emitted
def _lowest(typingctx, pool, at, among, alike):  # pragma: no cover - compiled
    """The lowest word of eight agents."""

    def codegen(context, builder, signature, arguments):
        loads = _loads(context, builder, signature.args[0], *arguments)
        takes, name = ir.FunctionType(_WORD, [_WORDS]), "llvm.vector.reduce.smin.v8i64"
        reduce = cgutils.get_or_insert_function(builder.module, takes, name)
        return builder.call(reduce, [loads])

    return types.int64(pool, types.int64, types.int64, types.boolean), codegen


@_emitted
def _equal(typingctx, pool, at, among, alike, word):  # pragma: no cover - compiled
    """Which of eight agents have a word."""

    def codegen(context, builder, signature, arguments):
        *place, word = arguments
        loads = _loads(context, builder, signature.args[0], *place)
        same = builder.icmp_signed("==", loads, _all(builder, word))
        return builder.bitcast(builder.zext(same, ir.VectorType(_BYTE, EIGHT)), _WORD)

    return types.uint64(pool, types.int64, types.int64, types.boolean, types.int64), codegen


@_emitted
def _differ(typingctx, pool, at, slots):  # pragma: no cover - compiled
    """Whether any of eight agents has not so many slots."""

    def codegen(context, builder, signature, arguments):
        pool, at, slots = arguments
        read, there = _reader(context, builder, signature.args[0], pool, at)
        other = builder.icmp_signed("!=", read("slots"), _all(builder, slots))
        found = builder.bitcast(builder.and_(other, there), _BYTE)
        return builder.icmp_unsigned("!=", found, _BYTE(0))

    return types.boolean(pool, types.int64, types.int64), codegen


_EACH, _HIGH = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_SEVEN, _LAST = np.uint64(7), np.uint64(56)


# What follows is in plain Python, for kernels that are run so, and then for compiled code.


def _meant(pool, memory, first):
    agents = range(pool.up.size)
    if first < 0:
        return agents
    return [a for a in agents if _among(memory, first, a) >> a % EIGHT & 1]


def least(pool, memory, first):
    """Whether all agents have as many slots, the word of the lowest load, and how many have it.

    Only agents that are up count. Where none is, the word is above all others, and none has it.
    """
    loads = [load_of(pool, a) for a in _meant(pool, memory, first)]
    lowest = min(loads)
    return False, lowest, loads.count(lowest) if lowest < math.inf else 0


def nth_least(pool, memory, first, alike, word, n):
    """The agent that is number ``n``, from 0, of those with this load."""
    return [a for a in _meant(pool, memory, first) if load_of(pool, a) == word][n]


def load_by(pool, alike, word):
    """The load that a word means."""
    return word


@overload(least, jit_options=_INLINED)
def _(pool, memory, first):
    def compiled(pool, memory, first):
        # Most pools have no more than eight agents, and are done without a loop.
        size, slots, at = pool.up.size, pool.slots[0], EIGHT
        alike = not _differ(pool, 0, slots)
        while at < size:
            alike &= not _differ(pool, at, slots)
            at += EIGHT
        word, at = _lowest(pool, 0, _among(memory, first, 0), alike), EIGHT
        while at < size:
            word = min(word, _lowest(pool, at, _among(memory, first, at), alike))
            at += EIGHT
        equal, at = _equal(pool, 0, _among(memory, first, 0), alike, word), EIGHT
        ties = np.int64((equal * _EACH) >> _LAST)
        while at < size:
            equal = _equal(pool, at, _among(memory, first, at), alike, word)
            ties += np.int64((equal * _EACH) >> _LAST)
            at += EIGHT
        return alike, word, ties if word < _NOBODY else 0

    return compiled


@overload(nth_least, jit_options=_INLINED)
def _(pool, memory, first, alike, word, n):
    def compiled(pool, memory, first, alike, word, n):
        at = 0
        while True:
            # Each byte has how many are equal up to there: the last, of all eight.
            equal = _equal(pool, at, _among(memory, first, at), alike, word) * _EACH
            here = np.int64(equal >> _LAST)
            if n < here:
                break
            n, at = n - here, at + EIGHT
        # Where it is at most n, it is before the one that is looked for.
        before = (((np.uint64(n) * _EACH) | _HIGH) - equal) & _HIGH
        return at + np.int64(((before >> _SEVEN) * _EACH) >> _LAST)

    return compiled


@overload(load_by, jit_options=_INLINED)
def _(pool, alike, word):
    def compiled(pool, alike, word):
        if word == _NOBODY:
            return math.inf
        return word / pool.slots[0] if alike else np.int64(word).view(np.float64)

    return compiled
