"""Fit an agent's service from a log of its calls: speed, variation and error rate.

The latency of a call is modelled as the engine simulates it::

    latency = (ttft + tokens / tokens_per_second) * noise

with lognormal noise of mean 1. If token counts are missing or do not matter, latency itself
is lognormal. Parameters are maximum-likelihood estimates
(:mod:`routingsim.simulation.lognormal_fit`). Calls that were given up are known to take longer
than they were seen to: they are fitted as censored.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim import display
from routingsim.agents import Agent
from routingsim.corpora.logs.call_log import CallLog
from routingsim.corpora.logs.read import read_log
from routingsim.corpora.logs.statuses import CACHED, FAILED, OK, TIMED_OUT
from routingsim.corpora.rows import counted
from routingsim.equality import ByValue
from routingsim.errors import AgentError, CorpusError, type_of
from routingsim.simulation.fit_notes import about_times, ceiling
from routingsim.simulation.gamma_fit import fit_gamma
from routingsim.simulation.limit_fit import LimitFit
from routingsim.simulation.lognormal_fit import FAR, FittedValue, LognormalFit, Z, fit_lognormal
from routingsim.simulation.price_fit import PriceFit
from routingsim.synonyms import argument_hints

FEWEST = 5  # fewest answered calls for a fit
FEW = 30  # fewest answered calls without a note
MANY = 0.2  # share of answers without tokens from which a fit does without
POOR = 0.1  # largest distance between residuals and the lognormal law without a note,
LILLIEFORS = 1.031  # or this over sqrt(n), which chance exceeds in 1 % of fits (Lilliefors, 1967)
RARE = 0.01  # share of calls given up below which a fit by tokens may leave them out
SLOPE = 2.0  # standard errors that seconds per token are above 0, or tokens are put aside

Floats = NDArray[np.float64]


@dataclass(frozen=True, repr=False, eq=False)
class ServiceFit(ByValue):
    """The service of an agent, fitted to its log; :meth:`agent` makes an agent with it.

    Attributes
    ----------
    model : {"tokens", "lognormal"}
        Whether latency depends on token counts, or is lognormal by itself.
    latency : FittedValue
        Mean seconds a call takes (``tokens``: at the log's mean number of tokens, whose own
        error is counted in). ``latency.interval`` is its 95 % interval.
    latency_cv : FittedValue
        Coefficient of variation of the noise (``lognormal``: of latency).
    ttft, tokens_per_second : FittedValue or None
        Seconds before the first token, and speed after it; None for ``lognormal``.
    output_tokens : float or None
        Mean tokens of an answer, where recorded.
    error_rate : FittedValue
        Share of calls without an answer, those given up included; 0 with error NaN where
        the log has no status.
    errors : mapping of str to FittedValue
        The same by kind: "failed" and "timed_out", as far as there are any.
    calls, failed, empty, outliers, used, given_up : int
        Calls in the log; calls without an answer; answered calls of 0 tokens, left out;
        answered calls more than six robust standard deviations off the model, left out;
        calls whose time the fit uses; and calls of which it uses that they take longer.
    r_squared : float
        Share of the variance of log latency that the token counts explain.
    median_error : float
        Median of |latency - modelled mean| / latency.
    ks : float
        Kolmogorov-Smirnov distance between the residuals and the lognormal law.
    notes : tuple of str
        How the log was read, what the fit did not see, and reasons to doubt it.
    prices : PriceFit or None
        Prices recovered from recorded costs; of :func:`routingsim.fit_pool` only.
    limits : LimitFit or None
        Slots and limits as far as the log shows them; of :func:`routingsim.fit_pool` only.

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
    empty: int
    outliers: int
    used: int
    given_up: int
    r_squared: float
    median_error: float
    ks: float
    notes: tuple[str, ...]
    errors: Mapping[str, FittedValue] = field(default_factory=dict)
    prices: PriceFit | None = None
    limits: LimitFit | None = None

    def agent(
        self, *, id: str, cost: float | None = None, name: str | None = None, **fields: Any
    ) -> Agent:
        """An agent with the fitted service.

        Parameters
        ----------
        id, name
            As in :class:`~routingsim.agents.Agent`; ``name`` is the id by default.
        cost : float, optional
            USD per 1,000 tokens; not needed where there are prices.
        **fields
            Any other field of an agent, such as ``concurrency``. A fitted field that is given
            here is replaced.

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
        if self.ttft is not None:
            fitted["ttft"] = self.ttft.value
        if self.tokens_per_second is not None:
            fitted["tokens_per_second"] = self.tokens_per_second.value
        if self.output_tokens:
            fitted["output_tokens"] = self.output_tokens
        for found in (self.prices, self.limits):
            fitted |= found.fields if found is not None else {}
        asked: dict[str, Any] = {"id": id, "name": id if name is None else name}
        if cost is not None:
            asked["cost"] = cost
        try:
            return msgspec.convert(fitted | asked | fields, Agent)
        except msgspec.ValidationError as error:
            raise AgentError(f"agent {id!r}: {error}") from None

    @property
    def _parameters(self) -> list[tuple[str, str]]:
        """Name and value of each parameter, and the calls behind it."""
        rows = {
            "latency (s)": self.latency,
            "ttft (s)": self.ttft,
            "tokens per second": self.tokens_per_second,
            "cv of the noise" if self.model == "tokens" else "cv of latency": self.latency_cv,
            "error rate": self.error_rate,
        }
        rows |= {f"  {kind}": of for kind, of in self.errors.items() if len(self.errors) > 1}
        said = [(name, f"{of} ({of.calls:,} calls)") for name, of in rows.items() if of is not None]
        if self.prices is not None:
            for name, value in self.prices.fields.items():
                said.append((name.replace("_", " "), f"{value:g} USD a million ({self.prices})"))
        if self.limits is not None:
            for name, value in self.limits.fields.items():
                comment = self.limits.comments[name]
                value = value if isinstance(value, str) else f"{value:,}"
                said.append((name.replace("_", " "), f"{value} ({comment})"))
        return said

    @property
    def _headline(self) -> str:
        left_out = f"{self.failed:,} failed, {self.outliers:,} far off the model"
        left_out += f", {self.empty:,} of 0 tokens" if self.empty else ""
        longer = f", {self.given_up:,} more known to take longer" if self.given_up else ""
        return f"{self.model} model of {self.used:,} of {self.calls:,} calls ({left_out}){longer}"

    @property
    def _remarks(self) -> list[str]:
        explained = "" if self.model == "lognormal" else f"R² {self.r_squared:.3f}, "
        distance = f"distance from lognormal {self.ks:.3f}"
        goodness = f"{explained}median error {self.median_error:.1%}, {distance}"
        return [goodness, *(f"note: {said}" for said in self.notes)]

    def __repr__(self) -> str:
        goodness, *noted = self._remarks
        parameters = [f"  {name:<18}{value}" for name, value in self._parameters]
        return "\n".join(
            [
                display.wrapped(f"ServiceFit: {self._headline}"),
                *parameters,
                f"  {goodness}",
                *map(display.wrapped, noted),
            ]
        )

    def _repr_html_(self) -> str:
        table = display.table([], self._parameters)
        return display.card(self._headline, table, self._remarks)

    @property
    def comments(self) -> dict[str, str]:
        """What an agents file says beside each fitted field, and of the agent ("")."""
        fitted = {
            "latency": self.latency,
            "latency_cv": self.latency_cv,
            "ttft": self.ttft,
            "tokens_per_second": self.tokens_per_second,
            "error_rate": self.error_rate,
        }
        said = {name: f"fitted: {of}, {of.calls:,} calls" for name, of in fitted.items() if of}
        if len(self.errors) > 1:
            kinds = ", ".join(f"{kind} {of.value:.4g}" for kind, of in self.errors.items())
            said["error_rate"] += f": {kinds}"
        if self.output_tokens:
            said["output_tokens"] = f"mean of the log, {self.used + self.given_up:,} calls"
        for found in (self.prices, self.limits):
            said |= found.comments if found is not None else {}
        return {"": f"service fitted: {self._headline}"} | said


@argument_hints
def fit_service(log: CallLog | pd.DataFrame) -> ServiceFit:
    """Fit an agent's service to a log of its calls.

    Parameters
    ----------
    log : CallLog or DataFrame
        Of calls of one agent: the latency of the whole call, and if they are known the tokens
        of its answer and how it ended. A DataFrame has columns ``latency`` (s),
        ``output_tokens`` or ``tokens``, and the first that there is of ``status``,
        ``status_code``, ``success``, ``error`` and ``level``, as :func:`routingsim.read_log`
        reads them. Failed calls count for the error rate only, and need no latency.

        Calls that timed out count as failed too, but say that the agent is slower than its
        answers show: their latency is fitted as one that is exceeded. So are calls that
        pile up at one largest latency, if the log has no status or says that they failed.
        Calls that a cache answered are left out.

    Raises
    ------
    CorpusError
        If no latency is recorded, a value is not allowed (the message names its place), or too
        few calls were answered.
    """
    calls, notes = calls_of(log)
    return fit_calls(calls, notes, "the log")


def calls_of(log: CallLog | pd.DataFrame) -> tuple[CallLog, tuple[str, ...]]:
    """The log, with what the fit is to say of it: all notes where it was read here."""
    if not isinstance(log, CallLog | pd.DataFrame):
        raise CorpusError(f"a log is a CallLog or a DataFrame, not {type_of(log)}")
    calls = log if isinstance(log, CallLog) else read_log(log, "calls")
    notes = () if isinstance(log, CallLog) else calls.notes
    if "latency" not in calls.columns:
        raise CorpusError(f"{calls.name}: no latency is recorded; a service time cannot be fitted")
    return calls, notes


# -- fitting ----------------------------------------------------------------------------


def fit_calls(calls: CallLog, said_of_log: Sequence[str], whose: str) -> ServiceFit:
    """:func:`fit_service` of calls of one agent, with notes on the log and ``whose``.

    The calls are as :func:`calls_of` has them.
    """
    notes = list(said_of_log)
    has_status = "status" in calls.columns
    if not has_status:
        notes.insert(0, "no status column: every call is taken as answered")
    if cached := int((calls.statuses == CACHED).sum()):
        notes.append(f"{counted(cached, 'call')} answered from a cache: left out")
        calls = calls.select(calls.statuses != CACHED)
    latency, statuses = calls.numbers("latency"), calls.statuses
    tokens = calls.numbers("output_tokens") if "output_tokens" in calls.columns else None
    count = latency.size
    limit, said = ceiling(calls)
    notes += said
    given_up = (statuses == TIMED_OUT) | limit
    failed, answered = statuses != OK, (statuses == OK) & ~limit
    untimed = answered & np.isnan(latency)
    if unknown := int(untimed.sum()):
        notes.append(f"{counted(unknown, 'answered call')} without a latency: left out of the fit")
        answered &= ~untimed
    good = int(answered.sum())
    if good < FEWEST:
        raise CorpusError(
            f"{whose}: {good} of {count} calls are answered; {FEWEST} or more are needed to fit a "
            "service time"
        )
    timed = given_up & np.isfinite(latency) & (latency > 0)
    if unknown := int((given_up & ~timed).sum()):
        notes.append(f"{unknown:,} calls given up have no latency: they count as failed only")

    if tokens is not None:
        uncounted = answered & np.isnan(tokens)
        if uncounted.sum() > MANY * good:
            tokens = None
            notes.append("many answers have no tokens recorded: latency is fitted without them")
        elif unknown := int(uncounted.sum()):
            notes.append(f"{counted(unknown, 'answer')} without tokens: left out of the fit")
            answered &= ~uncounted
    empty = answered & (tokens == 0) if tokens is not None else np.zeros(count, bool)
    if tokens is not None and (answered & ~empty).sum() < FEWEST:
        empty[:], tokens = False, None
        notes.append("hardly any answer has tokens: latency is fitted without them")
    elif zeros := int(empty.sum()):
        notes.append(
            f"{zeros:,} answered calls of 0 tokens are left out: they are no instant answers; if "
            "they failed, say so in the status"
        )
    if tokens is not None and (zeros := int((failed & ~given_up & (tokens == 0)).sum())):
        notes.append(f"{zeros:,} failed calls of 0 tokens are left out of the fit")
    answered &= ~empty
    if answered.sum() < FEW:
        notes.append(f"{answered.sum()} answered calls are few: errors are rough")
    notes += about_times(latency[answered], None if tokens is None else tokens[answered])
    fit, said = _service(latency, tokens, answered, timed)
    notes += said
    found, censored = fit.found, fit.censored
    used, out = int(found.kept.sum() - censored), int((~found.kept).sum())
    if out:
        notes.append(
            f"{out:,} answered calls are more than {FAR:g} standard deviations off the "
            "model and left out: stalls, or calls of another kind?"
        )
    if found.ks > max(POOR, LILLIEFORS / math.sqrt(used)):
        notes.append(
            f"residuals are far from lognormal (distance {found.ks:.2f}): look at the log "
            "before trusting percentiles"
        )
    kinds = {"failed": (statuses == FAILED) & ~limit, "timed_out": given_up}
    errors = {kind: _share(int(which.sum()), count) for kind, which in kinds.items() if which.any()}
    lost = int(failed.sum())
    error_rate = _share(lost, count) if has_status else FittedValue(lost / count, math.nan, count)
    ttft, speed, said = _first_token(calls, fit, answered)
    notes += said
    return ServiceFit(
        model="lognormal" if fit.speed is None else "tokens",
        latency=fit.mean,
        latency_cv=fit.cv,
        ttft=ttft,
        tokens_per_second=speed,
        output_tokens=fit.tokens,
        error_rate=error_rate,
        calls=count,
        failed=lost,
        empty=int(empty.sum()),
        outliers=out,
        used=used,
        given_up=censored,
        r_squared=found.r_squared,
        median_error=found.median_error,
        ks=found.ks,
        notes=tuple(notes),
        errors=errors,
    )


def _share(lost: int, count: int) -> FittedValue:
    """A share of calls, with the standard error of Agresti & Coull (1998), which is above 0."""
    shrunk = (lost + 2) / (count + 4)
    return FittedValue(lost / count, math.sqrt(shrunk * (1 - shrunk) / (count + 4)), count)


@dataclass(frozen=True)
class _Service:
    """A fitted service time; ``censored`` counts the calls that it knows to take longer."""

    found: LognormalFit
    mean: FittedValue
    censored: int
    cv: FittedValue
    ttft: FittedValue | None = None
    speed: FittedValue | None = None
    tokens: float | None = None
    law: str = "lognormal"  # the likelier of lognormal and gamma


def _first_token(
    calls: CallLog, fit: _Service, answered: NDArray[np.bool_]
) -> tuple[FittedValue | None, FittedValue | None, list[str]]:
    """Seconds to the first token and speed after it, by recorded first tokens if there are any.

    The speed is then such that the mean of a call stays as it is fitted.
    """
    first = calls.numbers("ttft") if "ttft" in calls.columns else np.full(len(calls), np.nan)
    first = first[answered & (first > 0)]
    if first.size < max(FEWEST, (1.0 - MANY) * answered.sum()):
        return fit.ttft, fit.speed, []
    size = first.size
    ttft = FittedValue(float(first.mean()), float(first.std(ddof=1) / math.sqrt(size)), size)
    if fit.speed is None or fit.tokens is None:
        return ttft, None, []
    rest = fit.mean.value - ttft.value
    if rest <= 0:
        return fit.ttft, fit.speed, ["first tokens come later than calls end: they are not used"]
    value = fit.tokens / rest
    error = value * math.hypot(fit.mean.error, ttft.error) / rest
    return ttft, FittedValue(value, error, size), []


def _service(
    latency: Floats,
    tokens: Floats | None,
    answered: NDArray[np.bool_],
    given_up: NDArray[np.bool_],
) -> tuple[_Service, list[str]]:
    """The service time by tokens if they lengthen calls, else a lognormal; and notes on it."""
    notes, fit, cut = [], None, int(given_up.sum())
    mean_tokens = None if tokens is None else float(tokens[answered].mean())
    if tokens is not None:
        with_tokens = given_up & np.isfinite(tokens) & (tokens > 0)
        share = (cut - with_tokens.sum()) / (cut + answered.sum())
        if share <= RARE:
            fit, notes = _by_tokens(latency, tokens, answered, with_tokens)
            if left := cut - int(with_tokens.sum()):
                notes.append(f"{left:,} calls given up have no tokens: left out of the fit")
        else:
            notes.append(
                "calls that were given up have no tokens, and longer answers are given up more "
                "often: latency is fitted without tokens"
            )
    if fit is None:
        use = answered | given_up
        found = fit_lognormal(latency[use], np.ones((int(use.sum()), 1)), given_up[use])
        mean, cv, law = found.at([1.0]), found.cv, "lognormal"
        if cut:
            times, longer = latency[use][found.kept], given_up[use][found.kept]
            gamma = fit_gamma(times, longer)
            if gamma.log_likelihood > found.log_likelihood:
                mean, cv, law = gamma.mean, gamma.cv, "gamma"
            # Longer times are not seen: the interval begins below where all end at once.
            beyond = max(mean.value - float(times.mean()), 0.0) / Z
            mean = mean._replace(error=math.hypot(mean.error, beyond))
        fit = _Service(found, mean, cut, cv, tokens=mean_tokens, law=law)
    if fit.censored:
        times = latency[given_up]
        low, high = float(times.min()), float(times.max())
        at = f"at {high:.4g} s" if high < 1.01 * low else f"after {low:.4g} to {high:.4g} s"
        said = (
            f"{cut:,} of {cut + answered.sum():,} calls were given up {at}: they are fitted as "
            f"calls that take longer, with a mean of {fit.mean.value:.4g} s; answers alone have "
            f"{latency[answered].mean():.4g} s"
        )
        if fit.speed is None:
            said += (
                f". Longer times are not seen: the mean follows from the {fit.law} law, which is "
                "the likelier of gamma and lognormal, and its error allows for another one"
            )
        else:
            said += ". Their tokens are taken to be those of the whole answer"
        notes.append(said)
    return fit, notes


def _by_tokens(
    latency: Floats, tokens: Floats, answered: NDArray[np.bool_], given_up: NDArray[np.bool_]
) -> tuple[_Service | None, list[str]]:
    """The token model, None if latency does not rise with the tokens; and notes on it."""
    use = answered | given_up
    aside = "tokens do not lengthen calls: latency is fitted without them"
    if np.ptp(tokens[use]) == 0:
        return None, [aside]
    design = np.column_stack([np.ones(int(use.sum())), tokens[use]])
    found = fit_lognormal(latency[use], design, given_up[use])
    intercept, slope = found.theta
    deviation = np.sqrt(np.diag(found.covariance))
    if not slope > SLOPE * deviation[1]:
        return None, [aside]
    size, kept = found.size, tokens[use][found.kept]
    mean = found.at([1.0, kept.mean()])
    of_tokens = float(slope * kept.std() / math.sqrt(size))
    error = float(deviation[0]) if intercept else math.nan
    fit = _Service(
        found,
        mean._replace(error=math.hypot(mean.error, of_tokens)),
        int(given_up.sum()),
        found.cv,
        ttft=FittedValue(float(intercept), error, size),
        speed=FittedValue(float(1 / slope), float(deviation[1] / slope**2), size),
        tokens=float(kept.mean()),
    )
    return fit, [] if intercept else ["ttft is at its bound, 0: its error is not known"]
