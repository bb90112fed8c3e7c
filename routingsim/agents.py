"""Agents and pools of them, and the TOML files they are written down in."""

import html
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim import display
from routingsim.errors import AgentError
from routingsim.messages import AgentInfo

__all__ = ["Agent", "AgentPool", "load_agents", "shipped_pools"]

_NAMED = 40  # agents that a pool's text names

NonNegative = Annotated[float, msgspec.Meta(ge=0)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Service = Literal["lognormal", "exponential", "deterministic", "tokens", "recorded"]
Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Identifier = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")]


class _Fields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an agent is made of, and what each field allows."""

    id: Identifier
    name: str
    cost: NonNegative
    latency: Positive
    strengths: tuple[str, ...] = ()
    latency_cv: NonNegative = 0.5
    service: Service = "lognormal"
    ttft: NonNegative | None = None
    tokens_per_second: Positive | None = None
    output_tokens: Positive = 300.0
    concurrency: Count = 4
    queue_limit: Annotated[int, msgspec.Meta(ge=0)] | None = None
    patience: NonNegative | None = None
    error_rate: Share = 0.0
    requests_per_minute: Count | None = None
    outcome: str | None = None


class Agent(
    _Fields, frozen=True, kw_only=True, forbid_unknown_fields=True, repr_omit_defaults=True
):
    """One agent: what it is, what it costs, and how it behaves under load.

    Parameters
    ----------
    id, name, strengths
        How routers and readers call it.
    cost : float
        USD per 1,000 tokens, prompt and answer alike.
    latency : float
        Mean service time in seconds: how long a call takes once it has started.
    latency_cv : float
        Coefficient of variation of the service time (``service = "lognormal"``) or of
        the noise around the token model (``service = "tokens"``).
    service : {"lognormal", "exponential", "deterministic", "tokens", "recorded"}
        Model of the service time. ``tokens`` is ``ttft + output tokens /
        tokens_per_second`` times a lognormal noise of mean 1; ``recorded`` is the
        latency the corpus records for this agent on this task.
    ttft : float, optional
        Seconds to the first token (``tokens`` only).
    tokens_per_second : float, optional
        Speed after the first token (``tokens`` only).
    output_tokens : float
        Mean length of an answer in tokens, used where a corpus records none.
    concurrency : int
        Slots: calls that run at the same time.
    queue_limit : int, optional
        Tasks that may wait; one more is shed. No limit by default.
    patience : float, optional
        Seconds a task waits before it gives up (timed out). No limit by default.
    error_rate : float
        Share of calls that fail, in [0, 1).
    requests_per_minute : int, optional
        Calls that may start in any 60 seconds. No limit by default.
    outcome : str, optional
        The name under which a corpus records this agent; its ``id`` by default.

    Raises
    ------
    AgentError
        If a field is out of its range, or the service model lacks a number it needs.
    """

    def __post_init__(self) -> None:
        try:
            msgspec.convert(msgspec.structs.asdict(self), _Fields)
        except msgspec.ValidationError as error:
            what, _, path = str(error).partition(" - at `$.")
            field = path.rstrip("`").partition("[")[0]
            found = f", found {getattr(self, field)!r}" if field else ""
            raise AgentError(f"agent {self.id}, field {field}: {_allowed(what)}{found}") from None
        for field in self.__struct_fields__:
            value = getattr(self, field)
            if isinstance(value, float) and not math.isfinite(value):
                raise AgentError(
                    f"agent {self.id}, field {field}: a finite number is needed, found {value}"
                )
        if self.service == "tokens" and self.tokens_per_second is None:
            raise AgentError(
                f'agent {self.id}: service = "tokens" needs tokens_per_second (and usually ttft)'
            )

    @property
    def recorded_as(self) -> str:
        """The name under which a corpus records this agent's outcomes."""
        return self.outcome or self.id

    @property
    def mean_service(self) -> float:
        """Mean service time in seconds that may be counted on before any call."""
        if self.service == "tokens" and self.tokens_per_second is not None:
            return (self.ttft or 0.0) + self.output_tokens / self.tokens_per_second
        return self.latency

    @property
    def info(self) -> AgentInfo:
        """The agent as it goes over the wire."""
        return AgentInfo(self.name, self.id, self.strengths, self.cost, self.latency)

    def __repr__(self) -> str:
        fields = self.__struct_fields__
        default = dict(zip(reversed(fields), reversed(self.__struct_defaults__), strict=False))
        given = {f: getattr(self, f) for f in fields}
        parts = [f"{f}={v!r}" for f, v in given.items() if f not in default or v != default[f]]
        lines = ["Agent("]
        for k, part in enumerate(parts):
            part += ", " if k + 1 < len(parts) else ")"
            if len(lines[-1] + part) > 80 and k:
                lines.append("      ")
            lines[-1] += part
        return "\n".join(line.rstrip() for line in lines)

    def _repr_html_(self) -> str:
        return AgentPool((self,))._repr_html_()


@dataclass(frozen=True)
class AgentPool(Sequence[Agent]):
    """A fixed, ordered set of agents with different ids.

    ``pool["gpt-4"]`` and ``pool[0]`` give an agent, ``pool.frame`` all of them
    as a table.

    Raises
    ------
    AgentError
        If the pool is empty or two agents share an id.
    """

    agents: tuple[Agent, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "agents", tuple(self.agents))
        if not self.agents:
            raise AgentError("a pool needs at least one agent, and this one has none")
        twice = sorted({a for a in self.ids if self.ids.count(a) > 1})
        if twice:
            raise AgentError(f"agent id {twice[0]!r} is there twice: ids must differ")

    def __len__(self) -> int:
        return len(self.agents)

    def __iter__(self) -> Iterator[Agent]:
        return iter(self.agents)

    def __getitem__(self, key):  # type: ignore[override]
        if isinstance(key, str):
            return self.agents[self.index(key)]
        if isinstance(key, slice):
            return AgentPool(self.agents[key])
        return self.agents[key]

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The agents' ids, in order."""
        return tuple(agent.id for agent in self.agents)

    def index(self, value, start: int = 0, stop: int | None = None) -> int:  # type: ignore[override]
        """Position of an agent, given as an id or as an :class:`Agent`."""
        wanted = value.id if isinstance(value, Agent) else value
        try:
            return self.ids.index(wanted)
        except ValueError:
            near = get_close_matches(str(wanted), self.ids, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise AgentError(
                f"no agent {wanted!r} in this pool: it has {', '.join(self.ids)}{hint}"
            ) from None

    def column(self, field: str) -> NDArray[np.float64]:
        """One numeric field of every agent, float64; NaN where it is not set."""
        values = (getattr(agent, field) for agent in self.agents)
        return np.array([math.nan if v is None else v for v in values], dtype=np.float64)

    @property
    def capacity(self) -> float:
        """Tasks per second that all slots serve together when none idles."""
        return float((self.column("concurrency") / self.column("mean_service")).sum())

    @property
    def frame(self) -> pd.DataFrame:
        """A row an agent, a column a field."""
        return pd.DataFrame([msgspec.structs.asdict(agent) for agent in self.agents])

    def __repr__(self) -> str:
        more = [f"{len(self) - _NAMED} more"] if len(self) > _NAMED else []
        return display.wrapped(f"AgentPool({', '.join([*self.ids[:_NAMED], *more])})", " " * 10)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(a.name)}</th>"
            f"<td><code>{html.escape(a.id)}</code></td><td>{a.cost:g}</td>"
            f"<td>{a.latency:g} ± {a.latency * a.latency_cv:.2g}</td><td>{a.concurrency}</td>"
            f"<td style='text-align:left'>{html.escape(', '.join(a.strengths))}</td></tr>"
            for a in self.agents[: display.MOST_ROWS]
        )
        more = len(self) - display.MOST_ROWS
        return (
            "<table><thead><tr><th style='text-align:left'>agent</th><th>id</th>"
            "<th>USD / 1,000 tokens</th><th>service (s)</th><th>slots</th>"
            f"<th style='text-align:left'>strengths</th></tr></thead><tbody>{rows}</tbody></table>"
            + (f"<p>{more:,} agents more</p>" if more > 0 else "")
        )


class _AgentsFile(msgspec.Struct, forbid_unknown_fields=True):
    agents: list[Agent]


def load_agents(source: str | Path = "default") -> AgentPool:
    """Read a pool of agents.

    Parameters
    ----------
    source
        Path of a TOML file with an ``[[agents]]`` table for each agent, or the
        name of a pool that is shipped: ``default`` (five agents), or one of
        :func:`shipped_pools`.

    Raises
    ------
    AgentError
        If the file is absent or not TOML, or a field is unknown, missing or
        out of its range; the message names file, agent and field.
    """
    path = _pool_path(source)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        names = ", ".join(shipped_pools())
        why = error.strerror if isinstance(error, OSError) else error
        raise AgentError(
            f"{source}: cannot be read as an agents file ({why}); "
            f"give a TOML file, or a shipped pool: {names}"
        ) from None
    try:
        return AgentPool(tuple(msgspec.toml.decode(text, type=_AgentsFile).agents))
    except msgspec.MsgspecError as error:
        raise AgentError(f"{path}: {_explain(str(error), text)}") from None
    except AgentError as error:
        raise AgentError(f"{path}: {error}") from None


def shipped_pools() -> dict[str, Path]:
    """The pools that come with routingsim, by name: paths of their TOML files."""
    return {
        path.stem.removeprefix("agents").removeprefix("-") or "default": path
        for path in sorted(_data_folder().glob("agents*.toml"))
    }


def _pool_path(source: str | Path) -> Path:
    shipped = shipped_pools()
    return shipped[source] if isinstance(source, str) and source in shipped else Path(source)


def _data_folder() -> Path:
    """The data folder: inside the package when installed, beside it in a checkout."""
    package = Path(str(resources.files("routingsim")))
    inside = package / "data"
    return inside if inside.is_dir() else package.parent / "data"


def _explain(message: str, text: str) -> str:
    """Say which agent a msgspec error is about, by its id where it has one."""
    what, _, path = message.partition(" - at `$.")
    if not path.startswith("agents["):
        return message
    number = int(path[len("agents[") : path.index("]")])
    record = msgspec.toml.decode(text)["agents"][number]
    if not isinstance(record, dict):
        return f"agent {number + 1}: {what}"
    field = path.partition("].")[2].rstrip("`")
    where = f"agent {number + 1}" + (f" ({record['id']})" if record.get("id") else "")
    found = record.get(field.partition("[")[0])
    said = f", found {found!r}" if found is not None else ""
    return f"{where}, {'field ' + field if field else 'record'}: {_allowed(what)}{said}"


def _allowed(what: str) -> str:
    """What msgspec says, with the names to choose from where it gives none."""
    if what.startswith("Invalid enum value"):  # only of `service`
        return f"Expected one of {', '.join(get_args(Service))}"
    return what
