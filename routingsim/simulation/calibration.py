"""Fit an agent's service from a log of its calls: speed, variation and error rate.

The latency of a call is modelled as the engine simulates it::

    latency = (ttft + tokens / tokens_per_second) * noise

with lognormal noise of mean 1. If token counts are missing or do not matter, latency itself
is lognormal. Parameters are maximum-likelihood estimates
(:mod:`routingsim.simulation.lognormal_fit`).
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim import display
from routingsim.agents import Agent, AgentPool
from routingsim.errors import AgentError, CorpusError
from routingsim.simulation.lognormal_fit import FAR, FittedValue, LognormalFit, fit_lognormal

FEWEST = 5  # fewest answered calls for a fit
FEW = 30  # fewest answered calls without a warning
POOR = 0.1  # largest distance between residuals and the lognormal law without a warning,
LILLIEFORS = 1.031  # or this over sqrt(n), which chance exceeds in 1 % of fits (Lilliefors, 1967)

Floats = NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class ServiceFit:
    """The service of an agent, fitted to its log; :meth:`agent` makes an agent with it.

    Attributes
    ----------
    model : {"tokens", "lognormal"}
        Whether latency depends on token counts, or is lognormal by itself.
    latency : FittedValue
        Mean seconds a call takes (``tokens``: at the log's mean number of tokens).
    latency_cv : FittedValue
        Coefficient of variation of the noise (``lognormal``: of latency).
    ttft, tokens_per_second : FittedValue or None
        Seconds before the first token, and speed after it; None for ``lognormal``.
    output_tokens : float or None
        Mean tokens of an answer, where recorded.
    error_rate : FittedValue
        Share of calls that failed; 0 with error NaN where the log has no status.
    calls, failed, outliers, used : int
        Calls in the log; calls that failed; answered calls more than six robust
        standard deviations off the model; and calls that the fit uses.
    r_squared : float
        Share of the variance of log latency that the token counts explain.
    median_error : float
        Median of |latency - modelled mean| / latency.
    ks : float
        Kolmogorov-Smirnov distance between the residuals and the lognormal law.
    warnings : tuple of str
        Reasons to doubt the fit.

    Notes
    -----
    Standard errors come from the Fisher information; they hold if the model does, for
    which see ``ks``.

    In a ``tokens`` model, calls differ by the lengths of answers as well as by noise. Replay
    it on a corpus that records ``output_tokens``, such as the log itself: otherwise every
    answer has the mean length, and service varies less than in the log. For queueing alone,
    ``fit_service(log[["latency", "status"]])`` fits a lognormal with all of the variation.
    """

    model: Literal["tokens", "lognormal"]
    latency: FittedValue
    latency_cv: FittedValue
    ttft: FittedValue | None
    tokens_per_second: FittedValue | None
    output_tokens: float | None
    error_rate: FittedValue
    calls: int
    failed: int
    outliers: int
    used: int
    r_squared: float
    median_error: float
    ks: float
    warnings: tuple[str, ...]

    def agent(self, *, id: str, cost: float, name: str | None = None, **fields: Any) -> Agent:
        """An agent with the fitted service.

        Parameters
        ----------
        id, name
            As in :class:`~routingsim.agents.Agent`; ``name`` is the id by default.
        cost : float
            USD per 1,000 tokens.
        **fields
            Any other field of an agent, such as ``concurrency``, which a log does not
            show. A fitted field that is given here is replaced.

        Raises
        ------
        AgentError
            If a field is unknown or out of its range.
        """
        fitted: dict[str, Any] = {
            "service": self.model,
            "latency": self.latency.value,
            "latency_cv": self.latency_cv.value,
            "error_rate": self.error_rate.value,
        }
        if self.ttft is not None and self.tokens_per_second is not None:
            fitted |= {"ttft": self.ttft.value, "tokens_per_second": self.tokens_per_second.value}
        if self.output_tokens:
            fitted["output_tokens"] = self.output_tokens
        asked = {"id": id, "name": id if name is None else name, "cost": cost}
        try:
            return msgspec.convert(fitted | asked | fields, Agent)
        except msgspec.ValidationError as error:
            raise AgentError(f"agent {id!r}: {error}") from None

    @property
    def _parameters(self) -> dict[str, str]:
        rows = {
            "latency (s)": self.latency,
            "ttft (s)": self.ttft,
            "tokens per second": self.tokens_per_second,
            "cv of the noise" if self.model == "tokens" else "cv of latency": self.latency_cv,
            "error rate": self.error_rate,
        }
        return {name: str(estimate) for name, estimate in rows.items() if estimate is not None}

    @property
    def _headline(self) -> str:
        left_out = f"{self.failed:,} failed, {self.outliers:,} far off the model"
        return f"{self.model} model of {self.used:,} of {self.calls:,} calls ({left_out})"

    @property
    def _remarks(self) -> list[str]:
        explained = "" if math.isnan(self.r_squared) else f"R² {self.r_squared:.3f}, "
        distance = f"distance from lognormal {self.ks:.3f}"
        goodness = f"{explained}median error {self.median_error:.1%}, {distance}"
        return [goodness, *(f"warning: {said}" for said in self.warnings)]

    def __repr__(self) -> str:
        goodness, *warned = self._remarks
        parameters = [f"  {name:<18}{value}" for name, value in self._parameters.items()]
        return "\n".join([f"ServiceFit: {self._headline}", *parameters, f"  {goodness}", *warned])

    def _repr_html_(self) -> str:
        table = display.table([], list(self._parameters.items()))
        return display.card(self._headline, table, self._remarks)


def fit_service(log: pd.DataFrame) -> ServiceFit:
    """Fit an agent's service to a log of its calls.

    Parameters
    ----------
    log : DataFrame
        One row for each call: ``latency`` in seconds; optionally ``tokens``, the length of
        the answer; and ``status``, "ok" (in any case) or any other word, or a boolean.
        Failed calls count for the error rate only, and need no latency. Calls that timed
        out count as failed: if there are many, the agent is slower than its answers show.

    Raises
    ------
    CorpusError
        If a column is missing, a value is not allowed (the message names column and
        row), or too few calls were answered.
    """
    return _fit(_read(log), "the log")


def fit_pool(
    log: pd.DataFrame, by: str = "agent", *, cost: float | Mapping[Any, float], **fields: Any
) -> tuple[AgentPool, dict[str, ServiceFit]]:
    """Fit every agent of a log, and make a pool of these agents.

    Parameters
    ----------
    log : DataFrame
        As in :func:`fit_service`, with a column that names the agent of each call.
    by : str
        That column. Agents are in order of appearance. Characters that an id must not
        contain become hyphens (``"GPT 4o"`` gets the id ``GPT-4o``).
    cost : float or mapping
        USD per 1,000 tokens, of all agents or by agent.
    **fields
        Other fields of the agents, such as ``concurrency=8`` or
        ``concurrency={"gpt-4": 8, "llama": 16}``.

    Returns
    -------
    pool : AgentPool
        The agents.
    fits : dict of str to ServiceFit
        The fit of each agent, by id.

    Raises
    ------
    CorpusError
        As in :func:`fit_service`.
    AgentError
        If a field is out of its range or not given for every agent.
    """
    names = _column(log, by).astype(object)
    _refuse_first(by, names, names.isna().to_numpy(), "an agent's name")
    calls = _read(log)
    fits: dict[str, ServiceFit] = {}
    agents: list[Agent] = []
    for name in names.unique():
        mine = (names == name).to_numpy()
        fit = _fit(calls.where(mine), f"{by} {name!r}")
        given = {
            field: _of_agent(value, name, field)
            for field, value in ({"cost": cost} | fields).items()
        }
        id = re.sub(r"[^A-Za-z0-9._/-]+", "-", str(name)).strip("-._/") or "agent"
        fits[id] = fit
        given.setdefault("name", str(name))
        agents.append(fit.agent(id=id, **given))
    return AgentPool(tuple(agents)), fits


def _of_agent(value: Any, agent: str, field: str) -> Any:
    if not isinstance(value, Mapping):
        return value
    if agent not in value:
        has = ", ".join(map(str, value)) or "none"
        raise AgentError(f"{field}: nothing for agent {agent!r}; there is one for {has}")
    return value[agent]


# -- reading ----------------------------------------------------------------------------


class _Calls(NamedTuple):
    """Checked columns of a log; latency and tokens are NaN for failed calls only."""

    latency: Floats
    tokens: Floats | None
    ok: NDArray[np.bool_] | None

    def where(self, mine: NDArray[np.bool_]) -> "_Calls":
        tokens = None if self.tokens is None else self.tokens[mine]
        return _Calls(self.latency[mine], tokens, None if self.ok is None else self.ok[mine])


def _read(log: pd.DataFrame) -> _Calls:
    if not isinstance(log, pd.DataFrame):
        raise CorpusError(f"a log is a DataFrame with a row a call, not a {type(log).__name__}")
    ok = _answered(_column(log, "status")) if "status" in log else None
    answered = np.ones(len(log), bool) if ok is None else ok
    latency = _numbers(log, "latency")
    bad = answered & ~(np.isfinite(latency) & (latency > 0))
    _refuse_first("latency", _column(log, "latency"), bad, "more than 0 seconds")
    if "tokens" not in log:
        return _Calls(latency, None, ok)
    tokens = _numbers(log, "tokens")
    bad = answered & ~(np.isfinite(tokens) & (tokens >= 0))
    _refuse_first("tokens", _column(log, "tokens"), bad, "0 or more, for every answered call")
    return _Calls(latency, tokens, ok)


def _column(log: pd.DataFrame, name: str) -> pd.Series:
    count = list(log.columns).count(name)
    if count != 1:
        has = ", ".join(map(str, log.columns)) or "none"
        raise CorpusError(
            f"the log has {count or 'no'} column{'s' if count else ''} {name!r}; it has {has}"
        )
    return pd.Series(log[name])


def _numbers(log: pd.DataFrame, name: str) -> Floats:
    """A column as float64, durations in seconds, empty cells NaN."""
    column = _column(log, name)
    if pd.api.types.is_timedelta64_dtype(column):
        column = column.dt.total_seconds()
    read = pd.Series(pd.to_numeric(column, errors="coerce"))
    numbers = read.to_numpy(dtype=np.float64, na_value=np.nan)
    unread = np.isnan(numbers) & column.notna().to_numpy()
    _refuse_first(name, column, unread, "a number")
    return numbers


def _answered(status: pd.Series) -> NDArray[np.bool_]:
    word = np.array([isinstance(value, str | bool | np.bool_) for value in status], dtype=bool)
    _refuse_first("status", status, ~word, '"ok" or another word, or a boolean')
    return np.array([str(value).strip().lower() in ("ok", "true") for value in status], dtype=bool)


def _refuse_first(name: str, column: pd.Series, bad: NDArray[np.bool_], needed: str) -> None:
    if bad.any():
        row = int(bad.argmax())
        found = column.iloc[row]
        raise CorpusError(
            f"{name}, row {row} (from 0): {getattr(found, 'item', lambda: found)()!r} found, "
            f"needs {needed}" + (f"; so for {bad.sum():,} rows in all" if bad.sum() > 1 else "")
        )


# -- fitting ----------------------------------------------------------------------------


def _fit(calls: _Calls, whose: str) -> ServiceFit:
    count = calls.latency.size
    answered = np.ones(count, bool) if calls.ok is None else calls.ok
    good = int(answered.sum())
    if good < FEWEST:
        raise CorpusError(
            f'{whose}: {good} of {count} calls are answered (status "ok" or true); '
            f"{FEWEST} or more are needed to fit a service time"
        )
    rate = 1 - good / count
    # Standard error of Agresti & Coull (1998), above 0 even if no call failed.
    shrunk = (count - good + 2) / (count + 4)
    rate_error = math.nan if calls.ok is None else math.sqrt(shrunk * (1 - shrunk) / (count + 4))
    latency = calls.latency[answered]
    tokens = None if calls.tokens is None else calls.tokens[answered]
    warnings = [] if good >= FEW else [f"{good} answered calls are few: errors are rough"]

    found = None if tokens is None else _by_tokens(latency, tokens)
    ttft = speed = mean_tokens = None
    if found is None:
        if tokens is not None:
            warnings.append("tokens do not lengthen calls: latency is fitted without them")
        found = fit_lognormal(latency, np.ones((good, 1)))
        mean = found.at([1.0])
    else:
        assert tokens is not None
        intercept, slope = found.theta
        deviation = np.sqrt(np.diag(found.covariance))
        ttft = FittedValue(float(intercept), float(deviation[0]) if intercept else math.nan)
        speed = FittedValue(float(1 / slope), float(deviation[1] / slope**2))
        mean = found.at([1.0, tokens[found.kept].mean()])
        if not intercept:
            warnings.append("ttft is at its bound, 0: its error is not known")
    if tokens is not None:
        mean_tokens = float(tokens[found.kept].mean())

    used = int(found.kept.sum())
    if used < good:
        warnings.append(
            f"{good - used:,} answered calls are more than {FAR:g} standard deviations off the "
            "model and left out: stalls, or calls of another kind?"
        )
    if found.ks > max(POOR, LILLIEFORS / math.sqrt(used)):
        warnings.append(
            f"residuals are far from lognormal (distance {found.ks:.2f}): look at the log "
            "before trusting percentiles"
        )
    return ServiceFit(
        model="lognormal" if speed is None else "tokens",
        latency=mean,
        latency_cv=found.cv,
        ttft=ttft,
        tokens_per_second=speed,
        output_tokens=mean_tokens,
        error_rate=FittedValue(rate, rate_error),
        calls=count,
        failed=count - good,
        outliers=good - used,
        used=used,
        r_squared=found.r_squared,
        median_error=found.median_error,
        ks=found.ks,
        warnings=tuple(warnings),
    )


def _by_tokens(latency: Floats, tokens: Floats) -> LognormalFit | None:
    """The token model, or None if latency does not rise with the tokens."""
    if np.ptp(tokens) == 0:
        return None
    found = fit_lognormal(latency, np.column_stack([np.ones(tokens.size), tokens]))
    return found if found.theta[1] > 0 else None
