"""Maximum-likelihood fit of a linear mean with lognormal noise.

The model is ``value = (design @ theta) * noise``, with noise of mean 1. The logarithm r of a
value over its modelled mean is normal with mean -s/2 and variance s = log(1 + cv²). For given
means the likelihood is greatest at s = 2 (sqrt(1 + mean r²) - 1).

A value may be censored: known to be larger than it was seen to be, as the time of a call that
was given up. It adds the logarithm of the probability of that to the log likelihood (Tobin,
1958; Lawless, *Statistical Models and Methods for Lifetime Data*, 2nd ed., ch. 5).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from routingsim.formatting import cells, short

FAR = 6.0
"""Robust standard deviations beyond which a value is an outlier; chance gives 2 in 10⁹."""

Z = 1.959964  # standard errors to either side of a 95 % interval
NORMAL_MAD = 1.4826  # standard deviation of a normal law over its median absolute deviation
LEAST = 1e-12  # lower bound of s, so that values without noise have a likelihood

Floats = NDArray[np.float64]


class FittedValue(NamedTuple):
    """A fitted parameter, its standard error (NaN where it has none), and the calls behind it."""

    value: float
    error: float
    calls: int

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval: 1.96 standard errors to either side, and not below 0."""
        half = Z * self.error
        return max(self.value - half, 0.0) if half >= 0 else math.nan, self.value + half

    def __str__(self) -> str:
        known = self.error >= 0
        return cells([(self.value, self.error)], "interval")[0] if known else short(self.value)


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
    log_likelihood: float
    size: int  # values behind the fit, censored ones included

    def at(self, design: Sequence[float]) -> FittedValue:
        """The modelled mean of a value with this row of the design."""
        row = np.array(design)
        error = math.sqrt(row @ self.covariance[:-1, :-1] @ row)
        return FittedValue(float(row @ self.theta), error, self.size)

    @property
    def cv(self) -> FittedValue:
        """Coefficient of variation of the noise."""
        cv = math.sqrt(math.expm1(self.s))
        error = math.sqrt(self.covariance[-1, -1]) * math.exp(self.s) / (2 * cv)
        return FittedValue(cv, error, self.size)


def fit_lognormal(
    values: Floats, design: Floats, censored: NDArray[np.bool_] | None = None
) -> LognormalFit:
    """Fit ``values = (design @ theta) * noise``, with theta at least 0.

    A robust fit (soft-L1 loss on the logarithms) comes first: it gives the starting point,
    and values more than :data:`FAR` robust standard deviations off it are left out. Standard
    errors come from the Fisher information. Measures of goodness are of the values that are
    not censored, of which the law is cut at the largest censored one.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Above 0.
    design : ndarray, shape (n, k)
        At least 0, no column all 0.
    censored : ndarray of bool, shape (n,), optional
        Values that are only known to be larger; none by default. One or more is not.
    """
    cut = np.zeros(values.size, bool) if censored is None else censored
    scale = design.mean(axis=0)
    columns, logs = design / scale, np.log(values)
    typical = float(np.median(values))
    bound = 1e-9 * typical  # above 0, so that every mean has a logarithm

    def residuals(theta: Floats) -> Floats:
        return logs - np.log(columns @ theta)

    def slopes(theta: Floats) -> Floats:
        return -columns / (columns @ theta)[:, np.newaxis]

    rough = optimize.least_squares(
        lambda theta: residuals(theta)[~cut],
        np.full(scale.size, typical / scale.size),
        lambda theta: slopes(theta)[~cut],  # pyright: ignore[reportArgumentType]
        bounds=(bound, np.inf),
        loss="soft_l1",
        f_scale=0.1,
        x_scale=typical,
    ).x
    off = residuals(rough)
    off -= np.median(off[~cut])
    spread = NORMAL_MAD * np.median(np.abs(off[~cut]))
    kept = cut | (np.abs(off) <= FAR * spread) if spread > 0 else np.ones(off.size, bool)
    values, design, columns, logs = values[kept], design[kept], columns[kept], logs[kept]
    cut = cut[kept]

    def minus_log_likelihood(theta: Floats) -> tuple[float, Floats]:
        r = residuals(theta)
        s = _variance(r)
        value = 0.5 * math.log(s) + float(np.square(r + s / 2).mean()) / (2 * s)
        return value, slopes(theta).T @ (r / s + 0.5) / r.size

    # From a median to a mean; of the values that are not censored.
    start = rough * math.exp(_variance(residuals(rough)[~cut]) / 2)
    if cut.any():
        best, s, covariance = _fit_censored(logs, columns, cut, start, bound)
    else:
        best = optimize.minimize(
            minus_log_likelihood,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=[(bound, None)] * start.size,
            options={"ftol": 1e-14, "gtol": 1e-9},
        ).x
        s = _variance(residuals(best))
        covariance = _covariance(columns / (columns @ best)[:, np.newaxis], s, best > 1e3 * bound)
    unit = np.append(scale, 1.0)
    r, seen = residuals(best), ~cut
    means = (columns @ best)[seen]
    z = (r + s / 2) / math.sqrt(s)
    likely = -logs[seen] - 0.5 * z[seen] ** 2 - 0.5 * math.log(2 * math.pi * s)
    share = special.ndtr(z[seen])
    if cut.any():  # the law of what can be seen: cut at the largest time of giving up
        highest = logs[cut].max() - np.log(means)
        share = np.minimum(share / special.ndtr((highest + s / 2) / math.sqrt(s)), 1.0)
    return LognormalFit(
        theta=np.where(best <= 1e3 * bound, 0.0, best / scale),
        s=s,
        covariance=covariance / np.outer(unit, unit),
        kept=kept,
        r_squared=float(1 - r[seen].var() / logs[seen].var()) if logs[seen].var() > 0 else math.nan,
        median_error=float(np.median(np.abs(values[seen] - means) / values[seen])),
        ks=_distance(share) if s > LEAST else 0.0,
        log_likelihood=float(likely.sum() + special.log_ndtr(-z[cut]).sum()),
        size=int(kept.sum()),
    )


def _fit_censored(
    logs: Floats, columns: Floats, cut: NDArray[np.bool_], start: Floats, bound: float
) -> tuple[Floats, float, Floats]:
    """Theta, s and their covariance where some values are censored.

    The covariance is the inverse of the observed information, by differences of the gradient.
    """

    def gradient(point: Floats) -> tuple[float, Floats]:
        """Minus the log likelihood and its gradient, in theta and log s."""
        theta, s = point[:-1], math.exp(point[-1])
        means = columns @ theta
        r = logs - np.log(means)
        z = (r + s / 2) / math.sqrt(s)
        tail = special.log_ndtr(-z[cut])
        hazard = np.exp(-0.5 * z[cut] ** 2 - 0.5 * math.log(2 * math.pi) - tail)
        by_z = z.copy()  # derivative of minus the log likelihood
        by_z[cut] = hazard
        value = 0.5 * float(z[~cut] @ z[~cut]) - float(tail.sum())
        value += 0.5 * float((~cut).sum()) * point[-1]
        by_theta = (columns / means[:, np.newaxis]).T @ by_z / -math.sqrt(s)
        by_log_s = by_z @ (s / 4 - r / 2) / math.sqrt(s) + 0.5 * float((~cut).sum())
        return value, np.append(by_theta, by_log_s)

    seen = logs[~cut] - np.log(columns[~cut] @ start)
    first = np.append(start, math.log(_variance(seen)))
    low = np.append(np.full(start.size, bound), math.log(LEAST))
    best = optimize.minimize(
        lambda point: tuple(part / logs.size for part in gradient(point)),
        first,
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(low, [*[None] * start.size, 4.0], strict=True)),
        options={"ftol": 1e-14, "gtol": 1e-9},
    ).x
    s = math.exp(best[-1])
    use = np.flatnonzero([*(best[:-1] > 1e3 * bound), True])
    step = 1e-5 * np.append(np.maximum(best[:-1], bound), 1.0)
    rows = []
    for k in use:
        move = np.zeros(best.size)
        move[k] = step[k]
        rows.append((gradient(best + move)[1] - gradient(best - move)[1])[use] / (2 * step[k]))
    information = (np.array(rows) + np.array(rows).T) / 2
    covariance = np.zeros((best.size, best.size))
    size = np.sqrt(np.abs(np.diag(information)))
    inverse = np.linalg.pinv(information / np.outer(size, size), hermitian=True)
    covariance[np.ix_(use, use)] = inverse / np.outer(size, size)
    to_s = np.append(np.ones(start.size), s)  # from log s to s
    return best[:-1], s, covariance * np.outer(to_s, to_s)


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


def _distance(shares: Floats) -> float:
    """Kolmogorov-Smirnov distance between values, by their shares of a law, and that law."""
    law = np.sort(shares)
    steps = np.arange(law.size + 1) / law.size
    return float(max((steps[1:] - law).max(), (law - steps[:-1]).max()))
