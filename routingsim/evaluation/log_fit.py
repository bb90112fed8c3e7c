"""The agents of a log as a backtest and a what-if need them: those with calls enough."""

from typing import Any

import numpy as np

from routingsim.agents import AgentPool
from routingsim.corpora.logs.call_log import CallLog
from routingsim.corpora.logs.statuses import CACHED, OK
from routingsim.corpora.rows import counted
from routingsim.errors import CorpusError

FEWEST = 5
"""Answered calls of an agent without which it is not fitted."""


_NEEDED = {
    "arrived_at": "when each call began",
    "agent": "which model it was of; agent==NAME where all are of one",
    "latency": "how long it took",
}


def usable(log: CallLog) -> tuple[CallLog, list[str]]:
    """The calls that agents answered or failed to, and notes on the others.

    Raises
    ------
    CorpusError
        If the log has no times, no agents or no latencies.
    """
    lacking = [column for column in _NEEDED if column not in log.columns]
    if lacking:
        said = " and ".join(f"no {column} ({_NEEDED[column]})" for column in lacking)
        raise CorpusError(
            f"{log.name}: has {said}, and cannot be compared with a replay; name what has it: "
            f"--map {','.join(f'{column}=COLUMN' for column in lacking)}"
        )
    notes, kept = [], np.ones(len(log), bool)
    for lost, what in (
        (np.isnan(log.numbers("arrived_at")), "without a time"),
        (log.names("agent") == "", "without an agent's name"),
        (log.statuses == CACHED, "answered from a cache"),
    ):
        if count := int((lost & kept).sum()):
            notes.append(f"{counted(count, 'call')} {what}: left out")
        kept &= ~lost
    if not kept.any():
        raise CorpusError(f"{log.name}: holds no call of an agent with a time")
    return (log if kept.all() else log.select(kept)), notes


def fitted(log: CallLog, **fields: Any) -> tuple[AgentPool, list[str], CallLog]:
    """The agents of a log that has calls enough of each, and notes on what it does not say.

    An agent with too few answered calls is not among them. Without recorded costs an agent's
    price is 0. The third is the log with the waits that latencies include taken off them.
    """
    answered = (log.statuses == OK) & (log.numbers("latency") > 0)
    names = log.names("agent")
    enough = [name for name in log.agents if (answered & (names == name)).sum() >= FEWEST]
    if not enough:
        raise CorpusError(
            f"{log.name}: too few answered calls to fit: no agent has {FEWEST} in the first part"
        )
    log = log.select(np.isin(names, enough))
    names, notes, served = log.names("agent"), [], log
    paid = np.isfinite(log.numbers("cost"))
    paid &= np.isfinite(log.numbers("prompt_tokens") + log.numbers("output_tokens"))
    priced = [name for name in enough if (paid & (names == name)).any()]
    parts: list[AgentPool] = []
    for group, price in ((priced, {}), ([n for n in enough if n not in priced], {"cost": 0.0})):
        if group:
            found = log.select(np.isin(names, group)).calibrate(**(price | fields))
            parts.append(found.pool)
            served = found.without_waits(served)
    if len(priced) < len(enough) and "cost" not in fields:
        lacking = "any agent" if not priced else ", ".join(n for n in enough if n not in priced)
        notes.append(f"no costs with token counts are recorded of {lacking}: none are predicted")
    comments = {name: said for part in parts for name, said in part.comments.items()}
    agents = [agent for part in parts for agent in part]
    agents.sort(key=lambda agent: enough.index(agent.recorded_as))
    return AgentPool(tuple(agents), comments), notes, served
