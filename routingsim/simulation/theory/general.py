"""Poisson arrivals, non-exponential service: M/G/1 and M/D/c."""

import math
from dataclasses import dataclass, field

import numpy as np
from scipy.special import expm1, exprel, gammainc, log1p

from routingsim.errors import SimulationError
from routingsim.simulation.theory.inputs import check_number, check_queue
from routingsim.simulation.theory.results import Floats, Result, UnlimitedQueue, bisect

_LARGEST_TRANSFORM = 1 << 22


@dataclass(frozen=True, repr=False)
class MG1(Result):
    """M/G/1 in steady state; see :func:`mg1`."""

    rate: float
    service: float
    scv: float
    utilisation: float
    p_wait: float
    wait_mean: float
    queue_mean: float
    latency_mean: float


def mg1(rate: float, service: float, scv: float) -> MG1:
    """M/G/1: Poisson arrivals, one server, any service distribution, by its first two moments.

    Pollaczek–Khinchine: mean wait ``rho service (1 + scv) / (2 (1 - rho))``. Source: Kleinrock
    vol. 1, sec. 5.6; Gross et al., 4th ed., sec. 5.1.

    Parameters
    ----------
    rate, service
        As in :func:`mmc`.
    scv
        Squared coefficient of variation of the service time, variance / mean**2, at least 0:
        0 deterministic, 1 exponential, ``exp(sigma**2) - 1`` lognormal.
    """
    scv = check_number("mg1", "scv", scv)
    rate, service, _ = check_queue("mg1", rate, service, 1, stable=True)
    rho = rate * service
    wait = rho * service * (1 + scv) / (2 * (1 - rho))
    return MG1(
        rate=rate,
        service=service,
        scv=scv,
        utilisation=rho,
        p_wait=rho,
        wait_mean=wait,
        queue_mean=rate * wait,
        latency_mean=wait + service,
    )


@dataclass(frozen=True, repr=False)
class MDc(UnlimitedQueue):
    """M/D/c in steady state; see :func:`mdc`."""

    queue_pmf: Floats = field(repr=False, compare=False)
    """P(j tasks are queued), j = 0, 1, …"""

    def _wait_tail(self, t: Floats) -> Floats:
        return np.array(
            [_tail(float(x), self.rate, self.service, self.servers, self.queue_pmf) for x in t]
        )

    def _latency_tail(self, t: Floats) -> Floats:
        return np.asarray(self.wait_sf(t - self.service))


def mdc(rate: float, service: float, servers: int) -> MDc:
    """M/D/c: Poisson arrivals, constant service time, ``servers`` servers, one FIFO queue.

    All tasks in service now have left one service time later, so the queue obeys
    ``Q' = max(Q + A - c, 0)`` with A Poisson(rate service): it is the maximum of a random walk
    with steps A - c, and Spitzer's identity gives ``E z**Q = exp(-sum_k g_k (1 - z**k))`` and
    ``E Q = sum_k k g_k`` with ``g_k = sum_n P(S_n = k) / n``. The ``g_k`` are the coefficients of
    ``-log(1 - z**-c E z**A)``, taken by FFT on the circle ``|z| = c / (rate service)``, where that
    function is smooth and small, so that tiny waits are accurate too. The wait is
    Franx's: ``P(wait > t) = P(Q + Poisson(rate u) >= k c)`` with ``u = k service - t`` in
    (0, service]. Source: Crommelin 1932; Franx 2001, A simple solution for the M/D/c waiting
    time distribution, Oper. Res. Lett. 29; Asmussen, Applied Probability and Queues, 2nd ed.,
    sec. VIII.4 (Spitzer). Relative error about 1e-12 (mean) and 1e-10 (tail).

    Parameters
    ----------
    rate, service, servers
        As in :func:`mmc`; the utilisation must be below 1 by 4e-5 or more.

    Returns
    -------
    MDc
        With the figures and distributions of :func:`mmc`.
    """
    rate, service, servers = check_queue("mdc", rate, service, servers, stable=True)
    queue, pmf = _queue(rate * service / servers, servers)
    p_wait = _tail(0.0, rate, service, servers, pmf)
    return MDc.of(rate, service, servers, p_wait, queue / rate, queue_pmf=pmf)


def md1(rate: float, service: float) -> MDc:
    """M/D/1: :func:`mdc` with one server; its means are those of ``mg1(rate, service, scv=0)``."""
    return mdc(rate, service, servers=1)


def _queue(rho: float, servers: int) -> tuple[float, Floats]:
    """Mean and distribution of the number queued in M/D/c."""
    log_radius = -math.log(rho)
    # The logarithm is singular at |z| = 1 and at the pole of E z**Q, the root above 1 of
    # z = exp(rho (z - 1)); on the circle between them its coefficients fall at least as fast as
    # (radius / pole)**k, beyond the width of a Poisson(servers).
    log_pole = bisect(lambda x: bool(exprel(x) >= 1 / rho), log_radius, 2 * log_radius)
    reach = math.ceil(40 / (log_pole - log_radius) + servers + 40 * math.sqrt(servers) + 40)
    size = 1 << (2 * reach).bit_length()
    if size > _LARGEST_TRANSFORM:
        raise SimulationError(
            f"mdc: utilisation {rho!r} with {servers} servers is too close to 1 to be computed; "
            "lower the rate, or use the heavy-traffic mean wait service / (2 servers (1 - rho))"
        )
    angle = 2 * np.pi * np.arange(size // 2 + 1) / size
    turn = -2 * np.sin(angle / 2) ** 2 + 1j * (np.sin(angle) - angle)  # exp(i angle) - 1 - i angle
    exponent = servers * (1 - rho - log_radius + turn)  # log of z**-c E z**A
    smooth = np.where(exponent.real < -1, -log1p(-np.exp(exponent)), -np.log(-expm1(exponent)))
    ladder = np.fft.irfft(smooth.conj(), size)[: size // 2].clip(min=0)  # g_k radius**k
    ladder[0] = 0
    steps = np.arange(size // 2)
    shrink = np.exp(-steps * log_radius)
    weights = ladder * shrink
    scaled = np.fft.irfft(np.exp(np.fft.rfft(ladder, size) - weights.sum()), size)[: size // 2]
    return float(steps @ weights), (scaled.clip(min=0) * shrink)[:reach]


def _tail(t: float, rate: float, service: float, servers: int, pmf: Floats) -> float:
    periods = math.floor(t / service) + 1
    spare = max(periods * service - t, 0.0)
    near, far = pmf[: periods * servers], pmf[periods * servers :]
    missing = periods * servers - np.arange(near.size)  # arrivals that make the wait exceed t
    return float(gammainc(missing, rate * spare) @ near + far.sum())  # P(Poisson >= missing)
