"""Agents and pools of them, and the TOML files that describe them."""

import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Literal,
    Protocol,
    get_args,
    get_origin,
    get_type_hints,
    overload,
    runtime_checkable,
)

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from routingsim import display
from routingsim.errors import AgentError, did_you_mean
from routingsim.files import bundled, read_file, written
from routingsim.messages import AgentInfo

_NAMED = 40  # agents that a pool's representation names
_PLAIN = {  # not written
    "price_per_slot_hour": 0.0,
    "over_limit": "wait",
    "limit_window": "sliding",
    "patience_law": "constant",
    "cut_off": "frees",
    "cut_off_cost": "all",
}
LIMITS = ("requests_per_minute", "tokens_per_minute", "requests_per_day")
"""The fields of an agent that are limits of its account."""
TIME_OUTS = ("timeout", "first_token_timeout")
"""The fields of an agent that cut calls off."""
_HEADS = ("agent", "id", "USD / 1,000 tokens", "service (s)", "slots", "strengths")

NonNegative = Annotated[float, msgspec.Meta(ge=0)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
Slots = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Service = Literal["lognormal", "exponential", "deterministic", "tokens", "recorded"]
Billed = Literal["all", "served", "nothing"]
Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Identifier = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")]


class _Fields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields of an agent, and the values that each allows."""

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
    concurrency: Slots = 4
    queue_limit: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None = None
    patience: NonNegative | None = None
    error_rate: Share = 0.0
    failures: Literal["recorded", "drawn"] | None = None
    requests_per_minute: Count | None = None
    price_per_slot_hour: NonNegative = 0.0
    tokens_per_minute: Count | None = None
    requests_per_day: Count | None = None
    over_limit: Literal["wait", "reject"] = "wait"
    limit_window: Literal["sliding", "fixed", "bucket"] = "sliding"
    account: Identifier | None = None
    context_window: Count | None = None
    prefill_tokens_per_second: Positive | None = None
    patience_law: Literal["constant", "exponential"] = "constant"
    timeout: Positive | None = None
    first_token_timeout: Positive | None = None
    cut_off: Literal["frees", "holds"] = "frees"
    cut_off_cost: Billed = "all"
    fallback: str | None = None
    outcome: str | None = None


class Agent(
    _Fields, frozen=True, kw_only=True, forbid_unknown_fields=True, repr_omit_defaults=True
):
    """One agent: what it is, what it costs, and how it behaves under load.

    Parameters
    ----------
    id, name, strengths
        Its key for routers, its name for readers, and what it is good at.
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
        Tokens per second after the first (``tokens`` only).
    output_tokens : float
        Mean length of an answer in tokens, used where a corpus records none.
    concurrency : int
        Slots: calls that run at the same time.
    queue_limit : int, optional
        Most tasks that may wait; a further one is shed. No limit by default.
    patience : float, optional
        Seconds a task waits before it gives up (timed out). No limit by default.
    error_rate : float
        Share of calls that fail, in [0, 1).
    failures : {"recorded", "drawn"}, optional
        Which calls fail where a corpus records this agent. ``recorded``: those that it marks
        in ``outcomes.AGENT.failed``, and no other at the first try. ``drawn``: by
        ``error_rate``, and recorded qualities are those of answers. By default ``recorded``
        where the corpus marks any, else ``drawn``; but recorded zeros that may be the
        failed calls are then refused.
    requests_per_minute : int, optional
        Calls that may start in any 60 seconds. No limit by default.
    price_per_slot_hour : float
        USD for each slot and hour, used or not, as of a machine that is rented. Only questions
        of capacity (:func:`routingsim.capacity`) count it.
    tokens_per_minute, requests_per_day : int, optional
        Tokens (prompt and answer) of the calls that may start in any 60 seconds, and calls
        that may start in any 86,400 seconds. No limit by default.
    over_limit : {"wait", "reject"}
        Whether a call over a limit waits in the agent's queue, or is rejected (HTTP 429).
    limit_window : {"sliding", "fixed", "bucket"}
        How limits are counted: over any 60 seconds; by the minutes of the run's clock; or by
        a token bucket that holds the limit, begins full and refills steadily.
    account : str, optional
        Agents of one account share its limits, which they all give alike. By default each
        agent has limits of its own.
    context_window : int, optional
        Tokens of the longest prompt that the agent takes. No bound by default.
    prefill_tokens_per_second : float, optional
        Tokens of a prompt read in a second: what it adds to ``ttft``. Nothing by default.
    patience_law : {"constant", "exponential"}
        Whether each task waits for ``patience`` seconds, or for an exponential time with
        that mean, drawn for each try.
    timeout : float, optional
        Seconds from the sending of a call to its end; one that has not ended by then is
        cut off (timed out), waiting or in service. No limit by default.
    first_token_timeout : float, optional
        Seconds from the sending of a call to its first token; the same. No limit by default.
    cut_off : {"frees", "holds"}
        Whether a call that is cut off in service frees its slot, or holds it until it would
        have ended.
    cut_off_cost : {"all", "served", "nothing"}
        What such a call costs: as much as any, its share of the service time, or nothing.
    fallback : str, optional
        The agent, by its id, that gets a task that failed here and is sent again; by
        default the policy chooses.
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
            raise AgentError(
                f"agent {self.id}, field {field}: {_allowed(what, field)}{found}"
            ) from None
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

        self._check_time_outs()
        limited = any(getattr(self, name) is not None for name in LIMITS)
        for name in ("over_limit", "limit_window"):
            if not limited and getattr(self, name) != _PLAIN[name]:
                raise AgentError(
                    f"agent {self.id}, field {name}: {getattr(self, name)!r} needs a limit: one of "
                    f"{', '.join(LIMITS)}"
                )
        if self.prefill_tokens_per_second is not None and self.ttft is None:
            raise AgentError(
                f"agent {self.id}, field prefill_tokens_per_second: it adds to ttft, which is not "
                "given; give ttft, 0 for none"
            )

    def _check_time_outs(self) -> None:
        """Check that each time-out can cut off some calls, and leaves some."""
        first, whole = self.first_token_timeout, self.timeout
        if first is not None and whole is not None and first >= whole:
            raise AgentError(
                f"agent {self.id}, field first_token_timeout: {first:g} s is not below timeout = "
                f"{whole:g} s, which cuts the same calls off: leave it out"
            )
        if self.patience_law == "exponential" and self.patience is None:
            raise AgentError(
                f'agent {self.id}, field patience_law: "exponential" needs patience, its mean'
            )
        if self.latency_cv and self.service not in ("deterministic", "recorded"):
            return  # noise may make any call short
        for name, limit in (("first_token_timeout", first), ("timeout", whole)):
            if limit is not None and self.ttft is not None and limit < self.ttft:
                raise AgentError(
                    f"agent {self.id}, field {name}: {limit:g} s is below ttft = {self.ttft:g} s, "
                    "so that every call is cut off"
                )

    @property
    def recorded_as(self) -> str:
        """The name under which a corpus records this agent's outcomes."""
        return self.outcome or self.id

    @property
    def mean_service(self) -> float:
        """Mean service time in seconds, as it is known before any call."""
        if self.service == "tokens" and self.tokens_per_second is not None:
            return (self.ttft or 0.0) + self.output_tokens / self.tokens_per_second
        return self.latency

    @property
    def capacity(self) -> float:
        """Calls per second at most: what its slots serve, or its request limit if that is less."""
        by_slots = self.concurrency / self.mean_service
        minute, day = self.requests_per_minute or math.inf, self.requests_per_day or math.inf
        return min(by_slots, minute / 60.0, day / 86_400.0)

    @property
    def info(self) -> AgentInfo:
        """The agent as messages describe it."""
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
        return AgentPool((self,)).to_html()


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
        for the agent. They are written to the file, and do not count for equality.

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
        """One numeric field of every agent, float64; NaN where it is not set."""
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
            by_slots = sum(agent.concurrency / agent.mean_service for agent in each)
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
                 if value is not None and value != _PLAIN.get(field)}
                for agent in self.agents
            ]
        }  # fmt: skip

    def to_toml(self) -> str:
        """The pool as the text of an agents file, with its comments."""
        blocks = []
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
            Of the file, which :func:`load_agents` and ``--agents`` read: an equal pool.

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
        rows = self._rows()[: display.MOST_ROWS]
        return display.card(f"{len(self):,} agents", display.table(_HEADS, rows), notes)

    def to_markdown(self) -> str:
        """The same table of all agents in Markdown."""
        return display.markdown_table(_HEADS, self._rows(), left=(0, 1, 5))

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                agent.name,
                agent.id,
                f"{agent.cost:g}",
                f"{agent.latency:g} ± {agent.latency * agent.latency_cv:.2g}",
                str(agent.concurrency),
                ", ".join(agent.strengths),
            )
            for agent in self.agents
        ]

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


class _AgentsFile(msgspec.Struct, forbid_unknown_fields=True):
    agents: list[Agent]


@runtime_checkable
class ArrowStream(Protocol):
    """A table of another library, which gives its columns by the Arrow PyCapsule interface."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


PoolLike = (
    str | os.PathLike[str] | Mapping[str, Any] | Iterable[Agent | Mapping[str, Any]] | ArrowStream
)
"""What :func:`load_agents` makes a pool of."""


def load_agents(source: PoolLike | None = "default") -> AgentPool:
    """A pool of agents, by name, from a TOML file, or from Python values.

    Parameters
    ----------
    source : str, path, AgentPool, dict, list of Agent or dict, or table
        The path of a TOML file with an ``[[agents]]`` table for each agent; the name of a
        pool that comes with routingsim, one of :func:`builtin_pools`; a dict with the
        content of such a file; or a list of agents, each an :class:`Agent` or a dict of its
        fields; or a DataFrame of pandas or polars or an Arrow table with a row for each
        agent, as :meth:`AgentPool.to_frame` makes. A pool is returned as it is; None stands
        for the five default agents.

    Raises
    ------
    AgentError
        If there is no such pool or file, or a field is unknown, missing or out of its
        range; the message names file, agent and field.
    """
    if isinstance(source, AgentPool):
        return source
    source = "default" if source is None else source
    if isinstance(source, str | os.PathLike):
        path = builtin_pools().get(str(source), Path(source))
        return _pool(_toml(path), f"{path}: ")
    if isinstance(source, Mapping):
        return _pool(source, "agents: ")
    if isinstance(source, ArrowStream):  # pandas has it, too
        return _pool({"agents": _records(source)}, "agents: ")
    if not isinstance(source, Iterable) or isinstance(source, Agent | bytes):
        raise AgentError(
            "agents: expected a name, a path, a dict, or a list of agents, found "
            f"{type(source).__name__}"
        )
    return _pool({"agents": list(source)}, "agents: ")


def _records(table: ArrowStream) -> list[dict[str, Any]]:
    """The rows of a table of pandas, pyarrow or polars: what is not set is left out."""
    try:
        rows = pa.table(table).to_pylist()
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise AgentError(f"agents: the table cannot be read ({error})") from None
    return [
        {k: v for k, v in row.items() if v is not None and v == v and not k.startswith("__")}
        for row in rows
    ]


def builtin_pools() -> dict[str, Path]:
    """The pools that come with routingsim, by name: paths of their TOML files."""
    return {
        path.stem.removeprefix("agents").removeprefix("-") or "default": path
        for path in sorted(bundled("data").glob("agents*.toml"))
    }


def _toml(path: Path) -> Any:
    try:
        return msgspec.toml.decode(read_file(path))
    except UnicodeDecodeError as error:
        raise AgentError(f"{path}: is not UTF-8 text ({error}); save it as UTF-8") from None
    except (msgspec.MsgspecError, ValueError) as error:  # of a number with thousands of digits
        raise AgentError(f"{path}: {error}") from None
    except RecursionError:
        raise AgentError(f"{path}: nested too deeply; a pool is a list of flat tables") from None
    except OSError as error:
        names = ", ".join(builtin_pools()) + did_you_mean(str(path), builtin_pools())
        raise AgentError(
            f"{path}: cannot be read as an agents file ({error.strerror or error}); give a TOML "
            f"file, or the name of a pool: {names}"
        ) from None


def _pool(content: Any, place: str) -> AgentPool:
    """A pool from the content of an agents file."""
    try:
        return AgentPool(tuple(msgspec.convert(content, _AgentsFile).agents))
    except msgspec.MsgspecError as error:
        raise AgentError(f"{place}{_explain(str(error), content)}") from None
    except AgentError as error:
        raise AgentError(f"{place}{error}") from None


def _explain(message: str, content: Any) -> str:
    """Say which agent an error of msgspec is about, by its id where it has one."""
    what, _, path = message.partition(" - at `$.")
    if not path.startswith("agents["):
        unknown = message.startswith("Object contains unknown field")
        return message + "; each agent is a table [[agents]]" * unknown
    number = int(path[len("agents[") : path.index("]")])
    record = content["agents"][number]
    if not isinstance(record, Mapping):
        return f"agent {number + 1}: {what}"
    field = path.partition("].")[2].rstrip("`")
    where = f"agent {number + 1}" + (f" ({record['id']})" if record.get("id") else "")
    found = record.get(field.partition("[")[0])
    said = f", found {found!r}" if found is not None else ""
    return f"{where}, {'field ' + field if field else 'record'}: {_allowed(what, field)}{said}"


def _allowed(what: str, field: str) -> str:
    """A message of msgspec on a field, with the allowed values where it names none."""
    if what.startswith("Object contains unknown field"):
        word, fields = what.split("`")[1], Agent.__struct_fields__
        ours = SYNONYMS.get(word.lower().replace("-", "_"))
        hint = f"; did you mean {ours!r}?" if ours else did_you_mean(word.lower(), fields)
        return f"no field {word!r}: there are {', '.join(fields)}{hint}"
    if what.startswith("Invalid enum value"):
        kinds = [get_type_hints(_Fields)[field], *get_args(get_type_hints(_Fields)[field])]
        [choices] = [get_args(kind) for kind in kinds if get_origin(kind) is Literal]
        return f"Expected one of {', '.join(choices)}"
    return what


SYNONYMS = {
    **dict.fromkeys(("slots", "workers", "max_concurrency", "parallel", "capacity"), "concurrency"),
    **dict.fromkeys(("rpm", "rate_limit", "request_limit"), "requests_per_minute"),
    **dict.fromkeys(("price", "usd", "cost_per_1k", "price_per_1k"), "cost"),
    **dict.fromkeys(("service_time", "mean_latency", "seconds", "duration"), "latency"),
    **dict.fromkeys(("cv", "service_cv"), "latency_cv"),
    **dict.fromkeys(("tps", "tokens_per_s", "speed"), "tokens_per_second"),
    **dict.fromkeys(("max_wait", "queue_timeout"), "patience"),
    **dict.fromkeys(("timeout_seconds", "call_timeout"), "timeout"),
    "ttft_timeout": "first_token_timeout",
    "tpm": "tokens_per_minute",
    "rpd": "requests_per_day",
    "max_tokens": "output_tokens",
    **dict.fromkeys(("max_input_tokens", "context", "context_length"), "context_window"),
    **dict.fromkeys(("failure_rate", "failure_probability"), "error_rate"),
    **dict.fromkeys(("max_queue", "queue", "queue_size"), "queue_limit"),
    **dict.fromkeys(("model", "agent"), "id"),
    **dict.fromkeys(("skills", "tags", "categories"), "strengths"),
}
"""Words that others use for the fields of an agent, for the hint of an error."""
