"""Maximum-likelihood fit of a gamma law to values of which some are censored.

The gamma law's tail is lighter than the lognormal's, and it holds the exponential one: beside
the lognormal fit it says how much the mean of censored values owes to the law (Lawless,
*Statistical Models and Methods for Lifetime Data*, 2nd ed., sec. 5.1).
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from routingsim.simulation.lognormal_fit import FittedValue

STEP = 1e-4  # of the differences that give the observed information

Floats = NDArray[np.float64]


class GammaFit(NamedTuple):
    """The fit: mean, coefficient of variation, and the log likelihood of the values."""

    mean: FittedValue
    cv: FittedValue
    log_likelihood: float


def fit_gamma(values: Floats, censored: NDArray[np.bool_]) -> GammaFit:
    """Fit a gamma law.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Above 0, not all the same.
    censored : ndarray of bool, shape (n,)
        Values that are only known to be larger; two or more are not.
    """
    seen, cut = values[~censored], values[censored]
    logs, total = float(np.log(seen).sum()), float(seen.sum())

    def minus_log_likelihood(point: Floats) -> float:
        mean, shape = np.exp(np.clip(point, -50.0, 50.0))
        rate = shape / mean
        whole = seen.size * (shape * math.log(rate) - special.gammaln(shape))
        with np.errstate(divide="ignore"):  # a tail of 0 is a log likelihood of -inf
            tail = np.log(special.gammaincc(shape, rate * cut)).sum()
        return -float(whole + (shape - 1) * logs - rate * total + tail)

    found = optimize.minimize(
        minus_log_likelihood,
        [math.log(values.mean()), 0.0],
        method="Nelder-Mead",
        options={"xatol": 1e-8, "fatol": 1e-8, "maxiter": 2_000},
    )
    moves = STEP * np.eye(2)
    information = np.array(
        [
            [
                sum(
                    one * two * minus_log_likelihood(found.x + one * a + two * b)
                    for one in (1, -1)
                    for two in (1, -1)
                )
                for b in moves
            ]
            for a in moves
        ]
    ) / (4 * STEP * STEP)
    errors = np.sqrt(np.diag(np.linalg.pinv(information, hermitian=True)))
    mean, cv = math.exp(found.x[0]), math.exp(-found.x[1] / 2)
    return GammaFit(
        FittedValue(mean, mean * float(errors[0]), values.size),
        FittedValue(cv, cv / 2 * float(errors[1]), values.size),
        -float(found.fun),
    )
