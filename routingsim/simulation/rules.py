"""What happens after a failure, and who sends the tasks, as the engine takes it."""

from collections.abc import Iterable
from typing import Any

from routingsim.policies.kernel import STATUS_NAMES
from routingsim.policies.policy import Judge
from routingsim.simulation.arrivals import ClosedLoop
from routingsim.simulation.faults import Hedge, Retries
from routingsim.simulation.signals import Signals
from routingsim.simulation.state import Rules


def rules_of(
    judge: Judge | None,
    retries: Retries,
    signals: Signals,
    hedge: Hedge | None,
    closed: ClosedLoop | None,
    *,
    shows_price: bool,
    shows_room: bool,
) -> Rules:
    """The rules of a run.

    Parameters
    ----------
    judge, retries, signals, hedge
        That of a cascade, if it is one; and as for :func:`routingsim.replay`.
    closed : ClosedLoop or None
        The loop that sends the tasks, if one does.
    shows_price, shows_room : bool
        Whether the policy may read what a task costs, and what is left of each limit.
    """
    judge, cooldown = judge or Judge(levels=1), retries.cooldown
    assert not isinstance(cooldown, str)  # Retries has parsed it
    return Rules(
        attempts=retries.attempts,
        backoff=float(retries.backoff),
        factor=float(retries.factor),
        fallback=2 if retries.fallback == "all" else int(retries.fallback),
        users=closed.users if closed else 0,
        think=float(closed.think) if closed else 0.0,
        think_cv=int(closed.think_cv) if closed else 0,
        levels=judge.levels,
        bar=float(judge.bar),
        judge_error=float(judge.error),
        judge_seconds=float(judge.seconds),
        judge_cost=float(judge.cost),
        on=_mask(retries.on),
        jitter=float(retries.jitter),
        budget=-1.0 if retries.budget is None else float(retries.budget),
        reserve=float(retries.reserve),
        cool_failures=0 if cooldown is None else cooldown.failures,
        cool_within=0.0 if cooldown is None else float(cooldown.within),
        cool_seconds=0.0 if cooldown is None else float(cooldown.seconds),
        cool_on=0 if cooldown is None else _mask(cooldown.on),
        shows_price=int(shows_price),
        retry_after=int(retries.retry_after),
        signal_delay=float(signals.delay),
        routers=signals.routers,
        **_hedging(hedge),
        shows_room=int(shows_room),
    )


def _hedging(hedge: Hedge | None) -> dict[str, Any]:
    """The rules of second copies."""
    if hedge is None:
        return {}
    if hedge.after is not None:
        return {"hedge": float(hedge.after)}
    return {"hedge_quantile": float(hedge.quantile or 0.0), "hedge_least": hedge.least}


def _mask(statuses: Iterable[str]) -> int:
    """A bit for each status."""
    return sum(1 << STATUS_NAMES.index(name) for name in set(statuses))
