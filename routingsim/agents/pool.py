"""Pools of agents, and the text of the TOML files that describe them."""

import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim import display
from routingsim.agents.agent import HEADS, LIMITS, PLAIN, Agent
from routingsim.caching import cached_property
from routingsim.errors import AgentError, did_you_mean, wrong_type
from routingsim.files import written
from routingsim.synonyms import argument_hints

_NAMED = 40  # agents that a pool's representation names


@argument_hints
@dataclass(frozen=True)
class AgentPool(Sequence[Agent]):
    """A fixed, ordered set of agents with different ids.

    ``pool["gpt-4"]`` and ``pool[0]`` give an agent, ``pool.to_frame()`` a table of all, and
    ``pool.save(path)`` writes the file that :func:`load_agents` reads.

    Parameters
    ----------
    agents : tuple of Agent
    comments : mapping of str to mapping of str to str, optional
        By an agent's id and a field, where its value comes from; the field ``""`` stands
        for the agent, and with the id ``""`` for the pool. They are written to the file, and
        do not count for equality.

    Raises
    ------
    AgentError
        If the pool is empty, two agents share an id, or something is not an agent.
    """

    agents: tuple[Agent, ...]
    comments: Mapping[str, Mapping[str, str]] = field(
        default_factory=dict, compare=False, repr=False
    )

    def __post_init__(self) -> None:
        if not isinstance(self.agents, Iterable):
            raise AgentError(wrong_type("agents", self.agents, "a list of rs.Agent is needed"))
        object.__setattr__(self, "agents", tuple(self.agents))
        if others := [each for each in self.agents if not isinstance(each, Agent)]:
            raise AgentError(
                f"a pool holds agents, not {others[0]!r:.60}; load_agents takes dicts too"
            )
        if not self.agents:
            raise AgentError("a pool needs at least one agent, and this one has none")
        twice = sorted(name for name, count in Counter(self.ids).items() if count > 1)
        if twice:
            raise AgentError(f"agent id {twice[0]!r} occurs twice: ids must differ")
        _check_accounts(self)

    def __len__(self) -> int:
        return len(self.agents)

    def __iter__(self) -> Iterator[Agent]:
        return iter(self.agents)

    @overload
    def __getitem__(self, key: str | int) -> Agent: ...
    @overload
    def __getitem__(self, key: slice) -> "AgentPool": ...
    def __getitem__(self, key: str | int | slice) -> "Agent | AgentPool":
        if isinstance(key, str):
            return self.agents[self.index(key)]
        if isinstance(key, slice):
            return AgentPool(self.agents[key], self.comments)
        return self.agents[key]

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The agents' ids, in order."""
        return tuple(agent.id for agent in self.agents)

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {name: position for position, name in enumerate(self.ids)}

    def index(self, value, start: int = 0, stop: int | None = None) -> int:  # type: ignore[override]
        """Position of an agent, given as an id or as an :class:`Agent`."""
        wanted = value.id if isinstance(value, Agent) else value
        try:
            return self._positions[wanted]
        except (KeyError, TypeError):
            hint = did_you_mean(str(wanted), self.ids)
            raise AgentError(
                f"no agent {wanted!r} in this pool: it has {', '.join(self.ids)}{hint}"
            ) from None

    def column(self, field: str) -> NDArray[np.float64]:
        """One numeric field of every agent, float64; NaN where it is not set.

        Raises
        ------
        AgentError
            If an agent has no such field.
        """
        if not (isinstance(field, str) and hasattr(Agent, field)):
            known = Agent.__struct_fields__
            raise AgentError(f"no field {field!r} of an agent{did_you_mean(str(field), known)}")
        values = (getattr(agent, field) for agent in self.agents)
        return np.array([math.nan if v is None else v for v in values], dtype=np.float64)

    @property
    def capacity(self) -> float:
        """Tasks per second at most: what the agents serve (:attr:`Agent.capacity`).

        What agents of one account serve is bounded by its limits once.
        """
        total, shared = 0.0, {}
        for agent in self.agents:
            if agent.account is None:
                total += agent.capacity
            else:
                shared.setdefault(agent.account, []).append(agent)
        for each in shared.values():
            by_slots = sum(agent.served for agent in each)
            minute, day = each[0].requests_per_minute, each[0].requests_per_day
            total += min(by_slots, (minute or math.inf) / 60.0, (day or math.inf) / 86_400.0)
        return float(total)

    @property
    def accounts(self) -> dict[str, tuple[int, ...]]:
        """The positions of the agents of each account that is named."""
        found: dict[str, tuple[int, ...]] = {}
        for position, agent in enumerate(self.agents):
            if agent.account is not None:
                found[agent.account] = (*found.get(agent.account, ()), position)
        return found

    def to_frame(self) -> pd.DataFrame:
        """A row for each agent, a column for each field."""
        return pd.DataFrame([msgspec.structs.asdict(agent) for agent in self.agents])

    def to_dict(self) -> dict[str, Any]:
        """The pool as an agents file has it, which :func:`load_agents` reads back."""
        return {
            "agents": [
                {field: value for field, value in msgspec.to_builtins(agent).items()
                 if value is not None and value != PLAIN.get(field)}
                for agent in self.agents
            ]
        }  # fmt: skip

    def to_toml(self) -> str:
        """The pool as the text of an agents file, with its comments."""
        heading = self.comments.get("", {}).get("")
        blocks = [_comment(heading) + "\n"] if heading else []
        for agent, fields in zip(self.agents, self.to_dict()["agents"], strict=True):
            said = self.comments.get(agent.id, {})
            lines = [_comment(said[""])] if "" in said else []
            lines.append("[[agents]]")
            for name, value in fields.items():
                comment = f"  {_comment(said[name])}" if name in said else ""
                lines.append(f"{name} = {_toml_value(value)}{comment}")
            blocks.append("\n".join(lines) + "\n")
        return "\n".join(blocks)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the pool as an agents file, whole or not at all.

        Returns
        -------
        Path
            The file, which :func:`load_agents` and ``--agents`` read: an equal pool.

        Raises
        ------
        AgentError
            If the path does not end in ``.toml``, or the file cannot be written.
        """
        path = Path(path)
        if path.suffix.lower() != ".toml":
            raise AgentError(f"{path}: name an agents file with .toml at its end")
        try:
            content = self.to_toml().encode()
        except UnicodeEncodeError as error:
            raise AgentError(f"{path}: a field cannot be written ({error})") from None
        with written(path, AgentError) as file:
            file.write_bytes(content)
        return path

    def to_html(self) -> str:
        """The table that notebooks show: HTML without scripts, of the first 40 agents."""
        more = len(self) - display.MOST_ROWS
        notes = [f"{more:,} more agents"] if more > 0 else []
        rows = [agent.row for agent in self.agents[: display.MOST_ROWS]]
        return display.card(f"{len(self):,} agents", display.table(HEADS, rows), notes)

    def to_markdown(self) -> str:
        """The same table of all agents in Markdown."""
        return display.markdown_table(HEADS, [agent.row for agent in self.agents], left=(0, 1, 5))

    def __repr__(self) -> str:
        more = [f"{len(self) - _NAMED} more"] if len(self) > _NAMED else []
        return display.wrapped(f"AgentPool({', '.join([*self.ids[:_NAMED], *more])})", " " * 10)

    def _repr_html_(self) -> str:
        return self.to_html()


def _check_accounts(pool: AgentPool) -> None:
    """Check that agents of one account give the same limits."""
    for account, positions in pool.accounts.items():
        if account in pool.ids:
            raise AgentError(
                f"agent {pool[positions[0]].id}, field account: {account!r} is the id of an agent; "
                "give the account another name"
            )
        first = pool[positions[0]]
        for position in positions[1:]:
            for name in (*LIMITS, "over_limit", "limit_window"):
                mine, its = getattr(pool[position], name), getattr(first, name)
                if mine != its:
                    raise AgentError(
                        f"agent {pool[position].id}, field {name}: {mine!r}, and {its!r} at "
                        f"{first.id} of the same account {account!r}; agents of one account share "
                        "its limits, so give both the same"
                    )


def _comment(text: str) -> str:
    return f"# {' '.join(text.split())}"


def _toml_value(value: Any) -> str:
    """A field's value in TOML: its basic strings are JSON's, but for the delete character."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml_value, value))}]"
    return repr(float(value) if isinstance(value, float) else int(value))
