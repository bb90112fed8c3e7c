"""Keyed randomness: every random draw is a function of (seed, purpose, index, part).

A counter-based generator has no state: nothing is consumed, so a draw does not
depend on the order of events, on threads or on what else was drawn. Two
policies replayed under one seed therefore meet the same arrivals, the same
service noise and the same failures (common random numbers), and a replay is
the same to the last bit wherever it runs.

The hash is the finaliser of SplitMix64 (Steele, Lea & Flood, "Fast splittable
pseudorandom number generators", OOPSLA 2014; constants of Stafford's variant
13), applied once to the index and once more to the part.
"""

import math

import numpy as np
from numpy.polynomial.chebyshev import cheb2poly
from scipy.special import ndtri

from routingsim.compiled import cached_njit

ARRIVAL, SERVICE, ERROR, CHOICE, ROW, THINK, JUDGE, EXPLORE, REPLICATION, RESAMPLE = range(10)
PATIENCE, JITTER, ROUTER, TENANT = range(10, 14)

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_ODD = np.uint64(0xD1342543DE82EF95)
_M1 = np.uint64(0xBF58476D1CE4E5B9)
_M2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S12 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(12)
_ONE = np.uint64(1)


@cached_njit("u8(u8)", nogil=True)
def _mix(z):
    z = (z ^ (z >> _S30)) * _M1
    z = (z ^ (z >> _S27)) * _M2
    return z ^ (z >> _S31)


@cached_njit("u8(i8, i8)", nogil=True)
def stream(seed, purpose):
    """Key of the stream of draws for one ``purpose`` under one ``seed`` (uint64)."""
    return _mix(_mix(np.uint64(seed) + _GOLDEN) + _ODD * np.uint64(purpose + 1))


@cached_njit("u8(u8, i8, i8)", nogil=True)
def bits(key, index, part):
    """64 random bits of draw ``index``, ``part`` in the stream ``key``."""
    return _mix(_mix(key + _GOLDEN * np.uint64(index)) + _ODD * (np.uint64(part) + _ONE))


@cached_njit("f8(u8, i8, i8)", nogil=True)
def uniform(key, index, part):
    """A uniform draw in the open interval (0, 1), a multiple of 2**-53."""
    return (np.float64(bits(key, index, part) >> _S12) + 0.5) * 2.0**-52


@cached_njit("f8(u8, i8, i8, i8)", nogil=True)
def of_try(key, index, attempt, part):
    """Uniform draw ``part`` of those that belong to one try of task ``index``."""
    return uniform(bits(key, index, attempt), 0, part)


@cached_njit("f8(u8, i8, i8)", nogil=True)
def exponential(key, index, part):
    """An exponential draw of mean 1, by inversion."""
    return -math.log(uniform(key, index, part))


# The quantile of the normal law comes from a table: each octave of the smaller tail has _PIECES
# pieces, each with the polynomial through the quantile's values at its Chebyshev nodes. Where a
# piece begins is read off the floating-point word, so there is no branch to mispredict.
_OCTAVES, _PIECES, _DEGREE = 53, 32, 5
_FIRST = (1022 - _OCTAVES) * _PIECES  # the biased exponent and five more bits of 2**-54
_BELOW = (1 << 47) - 1  # the bits below those


def _tabulate():
    nodes = _DEGREE + 1
    angles = [(j + 0.5) * math.pi / nodes for j in range(nodes)]
    octaves = 2.0 ** np.arange(-_OCTAVES - 1, -1)[:, None]
    begins = 1.0 + (np.arange(_PIECES) + 0.5) / _PIECES
    values = [ndtri(octaves * (begins + math.cos(t) * 0.5 / _PIECES)) for t in angles]
    table = np.zeros((_OCTAVES, _PIECES, nodes))
    # Sums by element, not by a linear algebra library: they come out alike on every processor.
    for k in range(nodes):
        share = (2.0 if k else 1.0) / nodes
        weight = sum(v * (share * math.cos(k * t)) for v, t in zip(values, angles, strict=True))
        for power, factor in enumerate(cheb2poly([0.0] * k + [1.0])):
            table[..., power] += factor * weight
    return np.vstack([table.reshape(-1, nodes), np.zeros(nodes)])  # the last for 1/2 itself


_TABLE = _tabulate()


@cached_njit("f8(f8)", nogil=True)
def normal_quantile(p):
    """Quantile of the standard normal law at 2**-54 <= p < 1, to within 1e-13."""
    word = np.float64(min(p, 1.0 - p)).view(np.int64)
    piece = _TABLE[(word >> 47) - _FIRST]
    t = np.float64(word & _BELOW) * 2.0**-46 - 1.0
    s = t * t  # summed in pairs, which the processor computes in parallel
    z = (piece[0] + piece[1] * t) + s * ((piece[2] + piece[3] * t) + s * (piece[4] + piece[5] * t))
    return z if p < 0.5 else -z


@cached_njit("f8(u8, i8, i8)", nogil=True)
def normal(key, index, part):
    """A standard normal draw, by inversion."""
    return normal_quantile(uniform(key, index, part))


@cached_njit("f8(u8, i8, i8, f8)", nogil=True)
def gamma(key, index, part, shape):
    """A gamma draw of mean ``shape``, from the uniforms ``part``, ``part`` + 1, … of ``index``.

    Marsaglia & Tsang, "A simple method for generating gamma variables", ACM Transactions
    on Mathematical Software 26, 2000. The first uniform serves a shape below 1 only; then
    each try takes two, of which at most one in twenty is rejected.
    """
    boosted = shape < 1.0
    d = (shape + 1.0 if boosted else shape) - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    at = part + 1
    while True:
        x = normal(key, index, at)
        v = (1.0 + c * x) ** 3
        if v > 0.0:
            bound = 0.5 * x * x + d * (1.0 - v + math.log(v))
            if math.log(uniform(key, index, at + 1)) < bound:
                break
        at += 2
    if boosted:
        return d * v * uniform(key, index, part) ** (1.0 / shape)
    return d * v


@cached_njit(nogil=True)  # few runs need this and the next, so each compiles when called
def uniforms(key, count, first=0):
    """The uniform draws from the ``first`` on of a stream, shape (count,)."""
    drawn = np.empty(count)
    for i in range(count):
        drawn[i] = uniform(key, first + i, 0)
    return drawn


@cached_njit(nogil=True)
def integers(key, count, below):
    """``count`` uniform draws from 0, …, ``below`` - 1, shape (count,), int32."""
    drawn = np.empty(count, np.int32)
    for i in range(count):
        drawn[i] = min(np.int64(uniform(key, i, 0) * below), below - 1)
    return drawn
