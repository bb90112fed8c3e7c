"""Maximum-likelihood fit of a linear mean with lognormal noise.

The model is ``value = (design @ theta) * noise``, with noise of mean 1. The logarithm r of a
value over its modelled mean is normal with mean -s/2 and variance s = log(1 + cv²). For given
means the likelihood is greatest at s = 2 (sqrt(1 + mean r²) - 1).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

FAR = 6.0
"""Robust standard deviations beyond which a value is an outlier; chance gives 2 in 10⁹."""

NORMAL_MAD = 1.4826  # standard deviation of a normal law over its median absolute deviation
LEAST = 1e-12  # lower bound of s, so that values without noise have a likelihood

Floats = NDArray[np.float64]


class FittedValue(NamedTuple):
    """A fitted parameter and its standard error (NaN where it has none)."""

    value: float
    error: float

    def __str__(self) -> str:
        return f"{self.value:.4g} ± {self.error:.2g}" if self.error >= 0 else f"{self.value:.4g}"


@dataclass(frozen=True)
class LognormalFit:
    """The maximum-likelihood fit, and how good it is.

    ``ks`` is the Kolmogorov-Smirnov distance between r and its normal law, ``r_squared`` the
    share of the logarithms' variance that the means explain, ``median_error`` the median of
    |value - mean| / value.
    """

    theta: Floats  # (k,) 0 if at its bound
    s: float  # variance of the noise's logarithm
    covariance: Floats  # (k + 1, k + 1) of theta and s; 0 if at its bound
    kept: NDArray[np.bool_]  # (values,) False for outliers
    r_squared: float
    median_error: float
    ks: float

    def at(self, design: Sequence[float]) -> FittedValue:
        """The modelled mean of a value with this row of the design."""
        row = np.array(design)
        error = math.sqrt(row @ self.covariance[:-1, :-1] @ row)
        return FittedValue(float(row @ self.theta), error)

    @property
    def cv(self) -> FittedValue:
        """Coefficient of variation of the noise."""
        cv = math.sqrt(math.expm1(self.s))
        return FittedValue(cv, math.sqrt(self.covariance[-1, -1]) * math.exp(self.s) / (2 * cv))


def fit_lognormal(values: Floats, design: Floats) -> LognormalFit:
    """Fit ``values = (design @ theta) * noise``, with theta at least 0.

    A robust fit (soft-L1 loss on the logarithms) comes first: it gives the starting point,
    and values more than :data:`FAR` robust standard deviations off it are left out. Standard
    errors come from the Fisher information.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Above 0.
    design : ndarray, shape (n, k)
        At least 0, no column all 0.
    """
    scale = design.mean(axis=0)
    columns, logs = design / scale, np.log(values)
    typical = float(np.median(values))
    bound = 1e-9 * typical  # above 0, so that every mean has a logarithm

    def residuals(theta: Floats) -> Floats:
        return logs - np.log(columns @ theta)

    def slopes(theta: Floats) -> Floats:
        return -columns / (columns @ theta)[:, np.newaxis]

    rough = optimize.least_squares(
        residuals,
        np.full(scale.size, typical / scale.size),
        slopes,  # pyright: ignore[reportArgumentType]
        bounds=(bound, np.inf),
        loss="soft_l1",
        f_scale=0.1,
        x_scale=typical,
    ).x
    off = residuals(rough)
    off -= np.median(off)
    spread = NORMAL_MAD * np.median(np.abs(off))
    kept = np.abs(off) <= FAR * spread if spread > 0 else np.ones(off.size, bool)
    values, design, columns, logs = values[kept], design[kept], columns[kept], logs[kept]

    def minus_log_likelihood(theta: Floats) -> tuple[float, Floats]:
        r = residuals(theta)
        s = _variance(r)
        value = 0.5 * math.log(s) + float(np.square(r + s / 2).mean()) / (2 * s)
        return value, slopes(theta).T @ (r / s + 0.5) / r.size

    start = rough * math.exp(_variance(residuals(rough)) / 2)  # from a median to a mean
    best = optimize.minimize(
        minus_log_likelihood,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(bound, None)] * start.size,
        options={"ftol": 1e-14, "gtol": 1e-9},
    ).x
    r = residuals(best)
    s = _variance(r)
    theta = np.where(best <= 1e3 * bound, 0.0, best / scale)
    means = columns @ best
    noisy = s > LEAST
    return LognormalFit(
        theta=theta,
        s=s,
        covariance=_covariance(design / means[:, np.newaxis], s, theta > 0),
        kept=kept,
        r_squared=float(1 - r.var() / logs.var()) if logs.var() > 0 else math.nan,
        median_error=float(np.median(np.abs(values - means) / values)),
        ks=_distance((r + s / 2) / math.sqrt(s)) if noisy else 0.0,
    )


def _variance(r: Floats) -> float:
    """Maximum-likelihood variance of residuals whose mean is minus half of it."""
    square = float(np.square(r).mean())
    return max(2 * square / (math.sqrt(1 + square) + 1), LEAST)  # = 2 (sqrt(1 + square) - 1)


def _covariance(gradients: Floats, s: float, free: NDArray[np.bool_]) -> Floats:
    """Inverse Fisher information of theta and s, from the gradients of the log means."""
    n, k = gradients.shape
    information = np.empty((k + 1, k + 1))
    information[:k, :k] = gradients.T @ gradients / s
    information[:k, k] = information[k, :k] = -gradients.sum(axis=0) / (2 * s)
    information[k, k] = n * (1 / (2 * s * s) + 1 / (4 * s))
    use = np.flatnonzero([*free, True])
    covariance = np.zeros((k + 1, k + 1))
    # Scaled by the diagonal first: the parameters differ by orders of magnitude.
    size = np.sqrt(np.diag(information)[use])
    inverse = np.linalg.pinv(information[np.ix_(use, use)] / np.outer(size, size))
    covariance[np.ix_(use, use)] = inverse / np.outer(size, size)
    return covariance


def _distance(z: Floats) -> float:
    """Kolmogorov-Smirnov distance between values and the standard normal law."""
    law = special.ndtr(np.sort(z))
    steps = np.arange(z.size + 1) / z.size
    return float(max((steps[1:] - law).max(), (law - steps[:-1]).max()))
