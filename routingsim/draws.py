"""Keyed randomness: every draw is a function of (seed, purpose, index, part).

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
from numba import njit

__all__ = [
    "ARRIVAL",
    "CHOICE",
    "ERROR",
    "JUDGE",
    "ROW",
    "SERVICE",
    "THINK",
    "bits",
    "exponential",
    "integers",
    "normal",
    "normal_quantile",
    "stream",
    "tabled_quantile",
    "uniform",
]

ARRIVAL, SERVICE, ERROR, CHOICE, ROW, THINK, JUDGE = range(7)

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_ODD = np.uint64(0xD1342543DE82EF95)
_M1 = np.uint64(0xBF58476D1CE4E5B9)
_M2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S12 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(12)
_ONE = np.uint64(1)


@njit("u8(u8)", cache=True, nogil=True)
def _mix(z):
    z = (z ^ (z >> _S30)) * _M1
    z = (z ^ (z >> _S27)) * _M2
    return z ^ (z >> _S31)


@njit("u8(i8, i8)", cache=True, nogil=True)
def stream(seed, purpose):
    """Key of the stream of draws for one ``purpose`` under one ``seed`` (uint64)."""
    return _mix(_mix(np.uint64(seed) + _GOLDEN) + _ODD * np.uint64(purpose + 1))


@njit("u8(u8, i8, i8)", cache=True, nogil=True)
def bits(key, index, part):
    """64 random bits of draw ``index``, ``part`` in the stream ``key``."""
    return _mix(_mix(key + _GOLDEN * np.uint64(index)) + _ODD * (np.uint64(part) + _ONE))


@njit("f8(u8, i8, i8)", cache=True, nogil=True)
def uniform(key, index, part):
    """A uniform draw in the open interval (0, 1), a multiple of 2**-53."""
    return (np.float64(bits(key, index, part) >> _S12) + 0.5) * 2.0**-52


@njit("f8(u8, i8, i8)", cache=True, nogil=True)
def exponential(key, index, part):
    """An exponential draw of mean 1, by inversion."""
    return -math.log(uniform(key, index, part))


# Coefficients of AS 241, highest power first: numerator and denominator of the
# centre, of the near tail and of the far tail.
_CENTRE = (
    (2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4,
     4.5921953931549871457e4, 1.3731693765509461125e4, 1.9715909503065514427e3,
     1.3314166789178437745e2, 3.3871328727963666080e0),
    (5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4,
     2.1213794301586595867e4, 5.3941960214247511077e3, 6.8718700749205790830e2,
     4.2313330701600911252e1, 1.0),
)  # fmt: skip
_NEAR = (
    (7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1,
     1.27045825245236838258e0, 3.64784832476320460504e0, 5.76949722146069140550e0,
     4.63033784615654529590e0, 1.42343711074968357734e0),
    (1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2,
     1.48103976427480074590e-1, 6.89767334985100004550e-1, 1.67638483018380384940e0,
     2.05319162663775882187e0, 1.0),
)  # fmt: skip
_FAR = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3,
     2.65321895265761230930e-2, 2.96560571828504891230e-1, 1.78482653991729133580e0,
     5.46378491116411436990e0, 6.65790464350110377720e0),
    (2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5,
     7.86869131145613259100e-4, 1.48753612908506148525e-2, 1.36929880922735805310e-1,
     5.99832206555887937690e-1, 1.0),
)  # fmt: skip


@njit(cache=True, nogil=True)
def _ratio(coefficients, r):
    above, below = coefficients
    p, q = above[0], below[0]
    for k in range(1, 8):
        p = p * r + above[k]
        q = q * r + below[k]
    return p / q


@njit("f8(f8)", cache=True, nogil=True)
def normal_quantile(p):
    """Quantile of the standard normal law at ``p`` in (0, 1).

    Wichura (1988), "Algorithm AS 241: the percentage points of the normal
    distribution", PPND16: relative error about 1e-16.
    """
    q = p - 0.5
    if abs(q) <= 0.425:
        return q * _ratio(_CENTRE, 0.180625 - q * q)
    r = math.sqrt(-math.log(p if q < 0 else 1.0 - p))
    tail = _ratio(_NEAR, r - 1.6) if r <= 5.0 else _ratio(_FAR, r - 5.0)
    return -tail if q < 0 else tail


# Quantiles for draws come from a table: each octave of the smaller tail has _PIECES pieces, each
# with the polynomial through the quantile's values at its Chebyshev nodes. Where a piece begins is
# read off the floating-point word, so there is no branch to mispredict.
_OCTAVES, _PIECES, _DEGREE = 53, 32, 5
_FIRST = (1022 - _OCTAVES) * _PIECES  # the biased exponent and five more bits of 2**-54
_BELOW = (1 << 47) - 1  # the bits below those


def _tabulate():
    nodes = np.cos((np.arange(_DEGREE + 1) + 0.5) * np.pi / (_DEGREE + 1))
    solve = np.linalg.inv(np.vander(nodes, increasing=True))
    octaves = 2.0 ** np.arange(-_OCTAVES - 1, -1)
    middles = octaves[:, None] * (1.0 + (np.arange(_PIECES) + 0.5) / _PIECES)
    tails = middles[..., None] + octaves[:, None, None] * nodes * (0.5 / _PIECES)
    values = np.array([normal_quantile(tail) for tail in tails.flat]).reshape(tails.shape)
    pieces = values.reshape(-1, _DEGREE + 1) @ solve.T
    return np.vstack([pieces, np.zeros(_DEGREE + 1)])  # the last for 1/2 itself


_TABLE = _tabulate()


@njit("f8(f8)", cache=True, nogil=True)
def tabled_quantile(p):
    """:func:`normal_quantile` for 2**-54 <= p < 1, to within 1e-13, in a third of the time."""
    word = np.float64(min(p, 1.0 - p)).view(np.int64)
    piece = _TABLE[(word >> 47) - _FIRST]
    t = np.float64(word & _BELOW) * 2.0**-46 - 1.0
    s = t * t  # summed in pairs, which the processor works out side by side
    z = (piece[0] + piece[1] * t) + s * ((piece[2] + piece[3] * t) + s * (piece[4] + piece[5] * t))
    return z if p < 0.5 else -z


@njit("f8(u8, i8, i8)", cache=True, nogil=True)
def normal(key, index, part):
    """A standard normal draw, by inversion."""
    return tabled_quantile(uniform(key, index, part))


@njit("i4[::1](u8, i8, i8)", cache=True, nogil=True)
def integers(key, count, below):
    """``count`` uniform draws from 0, …, ``below`` - 1, shape (count,), int32."""
    drawn = np.empty(count, np.int32)
    for i in range(count):
        drawn[i] = min(np.int64(uniform(key, i, 0) * below), below - 1)
    return drawn
