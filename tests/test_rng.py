"""Keyed draws: as random as they should be, and a function of their keys alone."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit
from numpy.typing import NDArray
from scipy import stats
from scipy.special import ndtri

from routingsim import rng

N = 20_000
INT64 = st.integers(-(2**63), 2**63 - 1)
PURPOSES = (rng.ARRIVAL, rng.SERVICE, rng.ERROR, rng.CHOICE, rng.ROW, rng.THINK)


@njit
def along_index(key, count, part):
    drawn = np.empty(count)
    for i in range(count):
        drawn[i] = rng.uniform(key, i, part)
    return drawn


@njit
def along_part(key, count, index):
    drawn = np.empty(count)
    for i in range(count):
        drawn[i] = rng.uniform(key, index, i)
    return drawn


def stream(seed: int, purpose: int) -> np.uint64:
    return np.uint64(rng.stream(seed, purpose))


def sequences(seed: int) -> dict[str, NDArray[np.float64]]:
    """Draws along everything that a draw is keyed by."""
    key = stream(seed, rng.SERVICE)
    uniforms = [rng.uniform(stream(s, rng.SERVICE), 0, 0) for s in range(seed, seed + N)]
    keys = (np.uint64(rng.bits(key, i, 0)) for i in range(N))
    return {
        "index": along_index(key, N, 0),
        "part": along_part(key, N, 0),
        "seed": np.array(uniforms),
        "task": np.array([rng.uniform(key, 0, 0) for key in keys]),
    }


WAYS = ("index", "part", "seed", "task")


@pytest.fixture(scope="module")
def drawn() -> dict[str, NDArray[np.float64]]:
    return sequences(20_240_607)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_draws_are_uniform(drawn: dict[str, NDArray[np.float64]], way: str) -> None:
    assert stats.kstest(drawn[way], "uniform").pvalue > 1e-4
    low_bits = (drawn[way] * 2**52).astype(np.int64) & 0xFF
    assert stats.chisquare(np.bincount(low_bits, minlength=256)).pvalue > 1e-4


@pytest.mark.parametrize("lag", [1, 2, 7, 64])
@pytest.mark.parametrize("way", WAYS)
def test_draws_are_not_serially_correlated(
    drawn: dict[str, NDArray[np.float64]], way: str, lag: int
) -> None:
    assert correlation(drawn[way][:-lag], drawn[way][lag:]) < 4.5


@pytest.mark.parametrize("way", WAYS)
def test_pairs_of_neighbours_fill_the_square(
    drawn: dict[str, NDArray[np.float64]], way: str
) -> None:
    cells = (drawn[way].reshape(-1, 2) * 10).astype(int) @ [10, 1]
    assert stats.chisquare(np.bincount(cells, minlength=100)).pvalue > 1e-4


def correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """|z| of the correlation of two series."""
    return abs(float(np.corrcoef(a, b)[0, 1])) * math.sqrt(a.size)


def test_streams_and_parts_are_independent_of_each_other() -> None:
    series = [along_index(stream(seed, p), N, 0) for seed in (0, 1, -1) for p in PURPOSES]
    series += [along_index(stream(0, rng.SERVICE), N, part) for part in (1, 2, 3)]
    for i, one in enumerate(series):
        for other in series[:i]:
            assert correlation(one, other) < 4.5


@given(INT64, st.sampled_from(PURPOSES), INT64, INT64)
def test_a_uniform_lies_strictly_between_0_and_1(
    seed: int, purpose: int, index: int, part: int
) -> None:
    u = rng.uniform(stream(seed, purpose), index, part)
    assert 0 < u < 1
    assert (u * 2**53).is_integer()
    assert math.isfinite(rng.exponential(stream(seed, purpose), index, part))


@pytest.mark.parametrize(("p", "expected"), [(2.0**-53, -8.2095), (1 - 2.0**-53, 8.2095)])
def test_the_extreme_uniforms_have_a_quantile(p: float, expected: float) -> None:
    assert rng.normal_quantile(p) == pytest.approx(expected, abs=1e-4)


def test_draws_do_not_depend_on_order() -> None:
    key = stream(3, rng.SERVICE)
    forwards = [rng.uniform(key, i, 0) for i in range(100)]
    backwards = [rng.uniform(key, i, 0) for i in reversed(range(100))]
    assert forwards == backwards[::-1]
    assert forwards == along_index(key, 100, 0).tolist()
    assert len(set(forwards)) == 100


def test_draws_are_the_same_in_every_release() -> None:
    """Published results must be repeatable: these numbers never change."""
    key = stream(7, rng.SERVICE)
    assert key == 10_477_335_214_272_376_518
    assert rng.bits(key, 0, 0) == 15_182_629_936_069_248_112
    assert rng.bits(key, 1, 2) == 8_378_456_483_547_826_114


def mixed(z: int) -> int:
    """The finaliser of SplitMix64, in integers without a bound."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
    return z ^ (z >> 31)


@given(INT64, st.sampled_from(PURPOSES), INT64, INT64)
def test_bits_are_those_of_the_formula(seed: int, purpose: int, index: int, part: int) -> None:
    golden, odd = 0x9E3779B97F4A7C15, 0xD1342543DE82EF95
    key = mixed((mixed((seed + golden) % 2**64) + odd * (purpose + 1)) % 2**64)
    assert rng.stream(seed, purpose) == key
    expected = mixed((mixed((key + golden * index) % 2**64) + odd * (part + 1)) % 2**64)
    assert rng.bits(np.uint64(key), index, part) == expected
    assert rng.uniform(np.uint64(key), index, part) == ((expected >> 12) + 0.5) / 2**52


@given(st.floats(2.0**-54, 1 - 2.0**-53))
def test_normal_quantile_is_scipys(p: float) -> None:
    assert rng.normal_quantile(p) == pytest.approx(ndtri(p), rel=1e-12, abs=1e-13)


@given(st.floats(2.0**-53, 0.5))
def test_normal_quantile_is_odd_and_rises(p: float) -> None:
    assert rng.normal_quantile(p) <= rng.normal_quantile(p * (1 + 1e-12)) + 1e-15
    q = 1 - p  # exact enough only where p is a multiple of 2**-53
    if 1 - q == p:
        assert rng.normal_quantile(q) == -rng.normal_quantile(p)


def test_normal_draws_are_the_quantiles_of_their_uniforms() -> None:
    key = stream(3, rng.SERVICE)
    u = np.array([rng.uniform(key, i, 0) for i in range(N)])
    assert u.min() < 2.0**-10  # far into both tails
    assert u.max() > 1 - 2.0**-10
    z = np.array([rng.normal(key, i, 0) for i in range(N)])
    np.testing.assert_allclose(z, ndtri(u), rtol=1e-12, atol=1e-13)


def test_every_piece_of_the_table_of_quantiles_is_right() -> None:
    tails = 2.0 ** -np.linspace(1.0, 54.0, 53 * 32 * 10 + 1)
    found = np.array([rng.normal_quantile(p) for p in tails])
    np.testing.assert_allclose(found, ndtri(tails), rtol=1e-12, atol=1e-13)


def test_normal_draws_have_the_moments_of_their_law() -> None:
    key = stream(11, rng.SERVICE)
    z = np.array([rng.normal(key, i, 0) for i in range(N)])
    assert stats.kstest(z, "norm").pvalue > 1e-4
    for power, expected, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((z**power).mean() - expected) < 4.5 * math.sqrt(variance / N)


def test_exponential_draws_have_mean_1() -> None:
    key = stream(12, rng.SERVICE)
    x = np.array([rng.exponential(key, i, 0) for i in range(N)])
    assert stats.kstest(x, "expon").pvalue > 1e-4
    assert abs(x.mean() - 1) < 4.5 / math.sqrt(N)


@pytest.mark.parametrize("below", [1, 2, 7, 1000])
def test_integers_are_uniform_and_below_their_bound(below: int) -> None:
    drawn = rng.integers(stream(13, rng.ROW), N, below)
    assert drawn.dtype == np.int32
    assert drawn.min() >= 0
    assert drawn.max() < below
    if below > 1:
        assert stats.chisquare(np.bincount(drawn, minlength=below)).pvalue > 1e-4
    assert (rng.integers(stream(13, rng.ROW), 10, below) == drawn[:10]).all()


@pytest.mark.parametrize("shape", [0.05, 0.5, 1.0, 2.5, 60.0])
def test_gamma_draws_have_their_law(shape: float) -> None:
    key = stream(7, rng.ARRIVAL)
    drawn = [rng.gamma(key, i, 3, shape) for i in range(3000)]
    assert stats.kstest(drawn, stats.gamma(shape).cdf).pvalue > 0.001


def test_a_gamma_draw_is_the_one_of_marsaglia_and_tsang() -> None:
    key, shape, d = stream(7, rng.ARRIVAL), 2.5, 2.5 - 1 / 3
    first_tries = 0
    for i in range(500):
        x, u = rng.normal(key, i, 4), rng.uniform(key, i, 5)
        v = max(1 + x / math.sqrt(9 * d), 0.0) ** 3
        if v > 0 and math.log(u) < x * x / 2 + d - d * v + d * math.log(v):
            first_tries += 1
            assert rng.gamma(key, i, 3, shape) == pytest.approx(d * v, rel=1e-14)
        else:
            assert rng.gamma(key, i, 3, shape) == rng.gamma(key, i, 5, shape)
    assert 475 <= first_tries < 500
