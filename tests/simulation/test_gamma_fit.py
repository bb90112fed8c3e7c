"""A gamma law, fitted to values of which some are censored."""

import numpy as np
import pytest
from scipy import stats

from routingsim.simulation.gamma_fit import fit_gamma


@pytest.mark.slow
@pytest.mark.parametrize("shape", [0.7, 1.0, 4.0])
@pytest.mark.parametrize("limit", [np.inf, 3.0])
def test_a_gamma_law_comes_back(shape: float, limit: float) -> None:
    values = np.random.default_rng(1).gamma(shape, 2.0 / shape, 4_000)
    fit = fit_gamma(np.minimum(values, limit), values > limit)
    assert abs(fit.mean.value - 2.0) < 4 * fit.mean.error
    assert abs(fit.cv.value - shape**-0.5) < 4 * fit.cv.error
    assert fit.mean.calls == fit.cv.calls == 4_000
    assert 0.005 < fit.mean.error / 2.0 < 0.04


def test_without_censored_values_it_is_that_of_scipy() -> None:
    values = np.random.default_rng(2).gamma(3.0, 0.5, 500)
    fit = fit_gamma(values, np.zeros(500, bool))
    shape, _, scale = stats.gamma.fit(values, floc=0)
    assert fit.mean.value == pytest.approx(shape * scale, rel=1e-4)
    assert fit.mean.value == pytest.approx(values.mean(), rel=1e-4)
    assert fit.cv.value == pytest.approx(shape**-0.5, rel=1e-4)
    assert fit.log_likelihood == pytest.approx(stats.gamma.logpdf(values, shape, 0, scale).sum())
    assert fit.mean.error == pytest.approx(values.mean() * fit.cv.value / 500**0.5, rel=1e-3)


def test_the_log_likelihood_of_censored_values_is_that_of_their_tail() -> None:
    values = np.minimum(np.random.default_rng(3).gamma(2.0, 1.0, 300), 2.5)
    fit = fit_gamma(values, values == 2.5)
    shape = fit.cv.value**-2
    law = shape, 0, fit.mean.value / shape
    seen = values < 2.5
    longer = (~seen).sum() * stats.gamma.logsf(2.5, *law)
    expected = stats.gamma.logpdf(values[seen], *law).sum() + longer
    assert fit.log_likelihood == pytest.approx(expected)
