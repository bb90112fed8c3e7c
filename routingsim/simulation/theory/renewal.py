"""Renewal arrivals, exponential service: GI/M/1 and GI/M/c.

An interarrival law is given by its Laplace–Stieltjes transform in units of its mean: a callable
``lst(s) = E exp(-s T)`` for ``s >= 0`` and T of mean 1; ``rate`` sets the scale.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, gammaln, logsumexp

from routingsim.errors import SimulationError
from routingsim.simulation.arrivals.renewal import weibull_shape
from routingsim.simulation.theory.inputs import check_number, check_positive, check_queue
from routingsim.simulation.theory.results import ExponentialWaits, bisect

Transform = Callable[[float], float]
"""``lst(s) = E exp(-s T)`` of a law with mean 1."""


def deterministic_lst() -> Transform:
    """Transform of the constant 1: ``exp(-s)``, for ``s >= 0``.

    Source: Kleinrock, Queueing Systems vol. 1, app. I.
    """
    return lambda s: math.exp(-s)


def gamma_lst(cv: float) -> Transform:
    """Transform of a gamma law with mean 1: ``(1 + cv**2 s)**(-1 / cv**2)``.

    Source: Johnson, Kotz & Balakrishnan, Continuous Univariate Distributions vol. 1, ch. 17.

    Parameters
    ----------
    cv
        Coefficient of variation, above 0; 1 is the exponential law.
    """
    (cv,) = check_positive("gamma_lst", cv=cv)
    scv = cv * cv
    return lambda s: math.exp(-math.log1p(scv * s) / scv)


def hyperexponential_lst(cv: float) -> Transform:
    """Transform of a mixture of two exponential laws with mean 1 and balanced means.

    Rate ``2 p`` with probability ``p = (1 + sqrt((cv**2 - 1) / (cv**2 + 1))) / 2``, else rate
    ``2 (1 - p)``, so that each branch contributes half of the mean. Source: Tijms, A First
    Course in Stochastic Models, app. B.

    Parameters
    ----------
    cv
        Coefficient of variation, at least 1.
    """
    scv = check_number("hyperexponential_lst", "cv", cv, low=1.0) ** 2
    p = (1 + math.sqrt((scv - 1) / (scv + 1))) / 2
    q = 1 / (2 * p * (scv + 1))  # 1 - p without cancellation
    return lambda s: 2 * p * p / (2 * p + s) + 2 * q * q / (2 * q + s)


def weibull_lst(cv: float) -> Transform:
    """Transform of a Weibull law with mean 1, by quadrature to about 1e-15.

    ``T = U**(1 / k) / Gamma(1 + 1 / k)`` with U a unit exponential; the shape k solves
    ``Gamma(1 + 2 / k) / Gamma(1 + 1 / k)**2 = 1 + cv**2``. In ``y = log U`` the integrand is
    analytic and falls doubly exponentially, so the trapezoidal rule converges geometrically.
    Source: Johnson, Kotz & Balakrishnan, Continuous Univariate Distributions vol. 1, ch. 21 (the
    law); Trefethen & Weideman 2014, The exponentially convergent trapezoidal rule (the rule).

    Parameters
    ----------
    cv
        Coefficient of variation, from 0.01 to 400; 1 is the exponential law.
    """
    cv = check_number("weibull_lst", "cv", cv, low=0.01, high=400.0)
    shape = weibull_shape(cv)
    y = np.arange(-40.0, 7.0, 0.02)
    weights = np.exp(y - np.exp(y))
    weights /= weights.sum()
    times = np.exp(y / shape)
    times /= weights @ times
    return lambda s: float(weights @ np.exp(-s * times))


@dataclass(frozen=True, repr=False)
class GIMc(ExponentialWaits):
    """GI/M/c in steady state; see :func:`gimc`."""

    sigma: float
    """Root of the interarrival transform; P(an arrival finds n tasks) falls by this factor."""


def gimc(rate: float, service: float, servers: int, interarrival: Transform) -> GIMc:
    """GI/M/c: independent interarrival times of any law, exponential service, one FIFO queue.

    With ``A(s)`` the transform of the interarrival time and ``mu = 1 / service``, sigma is the
    root in (0, 1) of ``sigma = A(c mu (1 - sigma))``; then ``P(wait > t) = p_wait
    exp(-c mu (1 - sigma) t)``. For one server ``p_wait = sigma``; for more, Takács' formula::

        1 / p_wait = 1 + (1 - sigma) sum over j = 1..c of
            binomial(c, j) / (C_j (1 - a_j)) (c (1 - a_j) - j) / (c (1 - sigma) - j)

    with ``a_j = A(j mu)`` and ``C_j = product of a_i / (1 - a_i), i = 1..j``. Its last quotient
    is positive, and written as ``1 + c`` times a divided difference of A, since it is 0 / 0
    where ``c (1 - sigma) = j``. Relative error about ``1e-16 / (1 - rho)**2``.
    Source: Takács, Introduction to the Theory of Queues, ch. 2; Kleinrock vol. 1, secs. 6.4-6.5;
    Gross et al., 4th ed., sec. 5.3.

    Parameters
    ----------
    rate, service, servers
        As in :func:`mmc`.
    interarrival
        Transform of the interarrival law in units of its mean: :func:`gamma_lst`,
        :func:`weibull_lst`, :func:`hyperexponential_lst`, :func:`deterministic_lst`, or any
        callable ``lst(s) = E exp(-s T)`` of a T with mean 1 and finite variance.

    Returns
    -------
    GIMc
        With the figures and distributions of :func:`mmc`, and ``sigma``. ``p_wait`` is what an
        arrival meets, ``queue_mean`` is over time.

    Examples
    --------
    >>> round(gim1(0.8, 1, gamma_lst(cv=2)).wait_mean, 4)
    10.9552
    """
    rate, service, servers = check_queue("gimc", rate, service, servers, stable=True)
    _check_transform(interarrival)
    rho = rate * service / servers
    sigma, above = _root(interarrival, rho)
    p_wait = sigma if servers == 1 else _p_wait(interarrival, rho, servers, above)
    decay = servers / service * above
    return GIMc.of(rate, service, servers, p_wait, p_wait / decay, decay=decay, sigma=sigma)


def gim1(rate: float, service: float, interarrival: Transform) -> GIMc:
    """GI/M/1: :func:`gimc` with one server, ``p_wait = sigma``.

    Source: Kleinrock vol. 1, sec. 6.4.
    """
    return gimc(rate, service, 1, interarrival)


def _check_transform(lst: Transform) -> None:
    if not callable(lst):
        raise SimulationError(
            f"gimc: interarrival is {lst!r}; it must be a transform such as gamma_lst(cv=2)"
        )
    tiny = 1e-8
    if abs(lst(0.0) - 1) > 1e-12 or abs((1 - lst(tiny)) / tiny - 1) > 0.05:
        raise SimulationError(
            f"gimc: interarrival is not the transform of a law with mean 1: at 0 it is "
            f"{lst(0.0)!r} with slope {-(1 - lst(tiny)) / tiny:.3g}, and must be 1 with slope -1; "
            "divide the interarrival time by its mean, the rate sets its scale"
        )


def _root(lst: Transform, rho: float) -> tuple[float, float]:
    """Sigma and 1 - sigma."""

    def at_or_above(x: float) -> bool:  # 1 - A(c mu x) - x is concave and 0 at 0
        return 1 - lst(x / rho) <= x

    low = 0.5
    while at_or_above(low):
        low /= 2
        if low < 1e-9:
            raise SimulationError(
                f"gimc: utilisation {rho!r} is too close to 1 for its transform's digits; "
                "lower the rate or the service"
            )
    above = bisect(at_or_above, low, 1.0)
    return lst(above / rho), above


def _p_wait(lst: Transform, rho: float, servers: int, above: float) -> float:
    j = np.arange(1, servers + 1)
    points = j / (rho * servers)
    a = np.array([lst(float(s)) for s in points])
    quotient = np.array([1 + _slope(lst, above / rho, float(s)) / rho for s in points])
    with np.errstate(divide="ignore"):  # if a_j underflows to 0, no task ever waits
        log_terms = (
            gammaln(servers + 1)
            - gammaln(j + 1)
            - gammaln(servers - j + 1)
            - np.cumsum(np.log(a) - np.log1p(-a))
            - np.log1p(-a)
            + np.log(quotient)
        )
    return float(expit(-math.log(above) - logsumexp(log_terms)))  # 1 / (1 + above sum)


def _slope(lst: Transform, x: float, y: float) -> float:
    """Divided difference of ``lst``; a five-point derivative if x and y nearly coincide."""
    if abs(x - y) > 1e-5 * y:
        return (lst(x) - lst(y)) / (x - y)
    middle = (x + y) / 2
    h = 1e-3 * middle
    near, far = lst(middle + h) - lst(middle - h), lst(middle + 2 * h) - lst(middle - 2 * h)
    return (8 * near - far) / (12 * h)
