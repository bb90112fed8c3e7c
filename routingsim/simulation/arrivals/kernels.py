"""The compiled kernels of the arrival processes, imported when times are first drawn.

A kernel takes its random numbers from the stream ``key`` alone, keyed by the
index of the arrival, so the first n arrivals do not depend on n. A kernel is
compiled when first called. Times are in seconds, rates in arrivals per second;
renewal processes count in mean gaps and divide by the rate last.
"""

import math

import numpy as np

from routingsim.compiled import cached_njit
from routingsim.rng import exponential, uniform
from routingsim.rng import gamma as gamma_variate
from routingsim.simulation.compiling import kernel

# Parts of a draw: what belongs to arrival i, and what belongs to a change of state i.
_GAP, _SWITCH, _FIRST = range(3)


@kernel
def _weibull(key, first, times, rate, shape, clock):
    t = clock[0]
    power = 1.0 / shape
    mean = math.gamma(1.0 + power)
    for i in range(times.size):
        gap = exponential(key, first + i, _GAP)
        t += gap if shape == 1.0 else gap**power / mean
        times[i] = t / rate
    clock[0] = t


def weibull(key, first, n, rate, shape, clock):
    """``n`` arrivals with Weibull gaps, by inversion; gaps of shape 1 are exponential.

    The first has the number ``first``; ``clock`` holds the time before it, in mean gaps.
    """
    times = np.empty(n)
    _weibull(key, first, times, rate, shape, clock)
    return times


@cached_njit(nogil=True)
def gamma(key, first, n, rate, shape, clock):
    """``n`` arrivals with Gamma gaps, from number ``first`` on."""
    times = np.empty(n)
    t = clock[0]
    for i in range(n):
        t += gamma_variate(key, first + i, 0, shape) / shape
        times[i] = t / rate
    clock[0] = t
    return times


@cached_njit(nogil=True)
def switching(key, n, rates, seconds, by_chance):
    """``n`` Poisson arrivals at cyclic rates, each held for its ``seconds``.

    With ``by_chance`` these are means of exponential sojourns, and the first state is
    drawn by its share of time. The rate's integral between arrivals is a unit exponential.
    """
    times = np.empty(n)
    state = 0
    if by_chance:
        u = uniform(key, 0, _FIRST) * seconds.sum()
        while state < seconds.size - 1 and u >= seconds[state]:
            u -= seconds[state]
            state += 1
    switches = 0
    t = 0.0
    end = seconds[state] * (exponential(key, 0, _SWITCH) if by_chance else 1.0)
    for i in range(n):
        need = exponential(key, i, _GAP)
        while need > rates[state] * (end - t):
            need -= rates[state] * (end - t)
            t = end
            state = (state + 1) % seconds.size
            switches += 1
            end = t + seconds[state] * (exponential(key, switches, _SWITCH) if by_chance else 1.0)
        t += need / rates[state]
        times[i] = t
    return times


@cached_njit(nogil=True)
def diurnal(key, n, rate, amplitude, period, peak_at):
    """``n`` arrivals at rate ``rate * (1 + amplitude * cos(2π(t − peak_at) / period))``.

    By thinning: candidates arrive at the peak rate, and each is kept with probability
    rate / peak rate.
    """
    times = np.empty(n)
    t = 0.0
    kept = candidate = 0
    while kept < n:
        t += exponential(key, candidate, _GAP) / (rate * (1.0 + amplitude))
        level = 1.0 + amplitude * math.cos(2.0 * math.pi * ((t - peak_at) / period))
        if uniform(key, candidate, 1) * (1.0 + amplitude) < level:
            times[kept] = t
            kept += 1
        candidate += 1
    return times


@cached_njit(nogil=True)
def jitter(key, times, width):
    """Add to each time a uniform draw from [0, ``width``)."""
    for i in range(times.size):
        times[i] += uniform(key, i, _GAP) * width
