"""An agent: its fields, the values that each allows, and how an error names them."""

import math
from collections.abc import Mapping
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec
import numpy as np

from routingsim import display
from routingsim.agents.price_list import blended, looked_up
from routingsim.errors import AgentError, did_you_mean
from routingsim.formatting import short
from routingsim.messages import AgentInfo
from routingsim.synonyms import unknown_field

PLAIN = {
    "price_per_slot_hour": 0.0,
    "over_limit": "wait",
    "limit_window": "sliding",
    "patience_law": "constant",
    "cut_off": "frees",
    "cut_off_cost": "all",
    "sharing": 0.0,
    "discipline": "fifo",
    "failed_cost": "all",
}
"""Defaults that a file leaves out."""
LIMITS = ("requests_per_minute", "tokens_per_minute", "requests_per_day")
"""The fields of an agent that are limits of its account."""
PRICES = ("price_input", "price_output", "price_cache_read", "price_cache_write")
"""The fields of an agent that are prices, in USD per million tokens."""
TIME_OUTS = ("timeout", "first_token_timeout")
"""The fields of an agent that cut calls off."""
NEEDED = ("id", "name", "latency")
"""The fields that every agent gives."""
HEADS = ("agent", "id", "USD / 1,000 tokens", "service (s)", "slots", "strengths")
"""The columns of :attr:`Agent.row`."""

NonNegative = Annotated[float, msgspec.Meta(ge=0)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
Slots = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Service = Literal["lognormal", "exponential", "deterministic", "tokens", "recorded"]
Billed = Literal["all", "served", "nothing", "input"]
Discipline = Literal["fifo", "priority", "fair"]
Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Identifier = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")]


class _Fields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields of an agent, and the values that each allows."""

    id: Identifier
    name: str
    cost: NonNegative = None  # type: ignore[assignment]  # a number once prices are found
    latency: Positive
    price_input: NonNegative | None = None
    price_output: NonNegative | None = None
    price_cache_read: NonNegative | None = None
    price_cache_write: NonNegative | None = None
    prices: str | None = None
    price_source: str | None = None
    limit_source: str | None = None
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
    failed_cost: Literal["all", "nothing", "input"] = "all"
    sharing: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    fallback: str | None = None
    discipline: Discipline = "fifo"
    outcome: str | None = None


if TYPE_CHECKING:
    _Meta = msgspec.StructMeta
else:

    class _Meta(msgspec.StructMeta):
        """An unknown field of an agent written in Python gets the name of the one meant."""

        def __call__(cls, *args, **fields):
            known, agent = cls.__struct_fields__, f"agent {fields.get('id', '?')}"
            for word in sorted(fields.keys() - set(known)):
                raise AgentError(f"{agent}: {unknown_field(word, known)}")
            missing = [name for name in NEEDED if name not in fields]
            if args or missing:
                wrong = f"field {missing[0]} is missing" if missing else "give its fields by name"
                raise AgentError(f"{agent}: {wrong}, as id='a', name='A', cost=0.01, latency=2.5")
            return super().__call__(**fields)


class Agent(
    _Fields,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    repr_omit_defaults=True,
    metaclass=_Meta,
):
    """One agent: what it is, what it costs, and how it behaves under load.

    Parameters
    ----------
    id, name, strengths
        Its key for routers, its name for readers, and what it is good at.
    cost : float, optional
        USD per 1,000 tokens, prompt and answer alike: the price where no other is given, and
        the one that messages carry. Not needed with both ``price_input`` and
        ``price_output``; it is then that of three tokens of prompts for one of an answer.
    price_input, price_output : float, optional
        USD per million tokens of prompts and of answers. By default 1,000 times ``cost``.
    price_cache_read, price_cache_write : float, optional
        USD per million tokens of a prompt that the provider reads from its cache, or writes
        to it. By default ``price_input``.
    prices : str, optional
        The model whose prices are looked up in genai-prices where an agent has none of its
        own, as ``openai/gpt-4o`` (:mod:`routingsim.agents.price_list`).
    price_source : str, optional
        Where the prices come from, and of which day; a look-up fills it in.
    limit_source : str, optional
        Where the limits come from, and of which day.
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
        Seconds in service before the first token. By default an answer comes whole, at its end.
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
    cut_off_cost : {"all", "served", "nothing", "input"}
        What such a call costs: as much as any, its share of the service time, nothing, or
        its prompt.
    failed_cost : {"all", "nothing", "input"}
        What a call that fails costs: as much as any, nothing, or its prompt. A recorded cost
        of a call that is recorded as failed is what it cost.
    sharing : float
        How much calls slow each other down, 0 to 1: with n of them in service each is served at
        1 / (1 + sharing x (n - 1)) of its speed alone. A step of a batch that takes W + H x n is
        sharing = H / (W + H), with ``latency`` or ``tokens_per_second`` of a call alone; 1 is
        processor sharing.
    fallback : str, optional
        The agent, by its id, that gets a task that failed here and is sent again; by
        default the policy chooses.
    discipline : {"fifo", "priority", "fair"}
        Which of the tasks that wait is next: the first that came; the first of the most urgent
        priority; or the first of the tenant that has had least service for its weight.
    outcome : str, optional
        The name under which a corpus records this agent; its ``id`` by default.

    Raises
    ------
    AgentError
        If a field is out of its range, or the service model lacks a number it needs.
    """

    def __post_init__(self) -> None:
        for field in self.__struct_fields__:
            value = getattr(self, field)
            if isinstance(value, np.generic):  # a number of an array or a table
                msgspec.structs.force_setattr(self, field, value.item())
        self._find_prices()
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
            if not limited and getattr(self, name) != PLAIN[name]:
                raise AgentError(
                    f"agent {self.id}, field {name}: {getattr(self, name)!r} needs a limit: one of "
                    f"{', '.join(LIMITS)}"
                )
        if self.prefill_tokens_per_second is not None and self.ttft is None:
            raise AgentError(
                f"agent {self.id}, field prefill_tokens_per_second: it adds to ttft, which is not "
                "given; give ttft, 0 for none"
            )

    def _find_prices(self) -> None:
        """Fill in the prices that are looked up, and the cost that follows from others."""
        if isinstance(self.prices, str) and (self.price_input is None or self.price_output is None):
            for name, value in looked_up(self.id, self.prices).items():
                if getattr(self, name) is None:
                    msgspec.structs.force_setattr(self, name, value)
        if self.cost is None:
            into, out = self.price_input, self.price_output
            if into is None or out is None:
                raise AgentError(
                    f"agent {self.id}, field cost: required, and not given (USD per 1,000 tokens); "
                    "price_input and price_output (USD per million) together stand in for it"
                )
            numbers = all(isinstance(each, int | float) for each in (into, out))
            allowed = numbers and 0 <= into < math.inf and 0 <= out < math.inf
            msgspec.structs.force_setattr(self, "cost", blended(into, out) if allowed else 0.0)

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
    def slowdown(self) -> float:
        """How many times as long as alone a call takes while all slots are in use."""
        return 1.0 + self.sharing * (self.concurrency - 1)

    @property
    def served(self) -> float:
        """Calls per second that its slots serve at most."""
        return self.concurrency / (self.mean_service * self.slowdown)

    @property
    def capacity(self) -> float:
        """Calls per second at most: what its slots serve, or its request limit if that is less."""
        by_slots = self.served
        minute, day = self.requests_per_minute or math.inf, self.requests_per_day or math.inf
        return min(by_slots, minute / 60.0, day / 86_400.0)

    @property
    def priced(self) -> bool:
        """Whether prompts or answers have a price of their own."""
        return self.price_input is not None or self.price_output is not None

    @property
    def rates(self) -> tuple[float, float, float, float]:
        """The four :data:`PRICES` in USD per million tokens, those not given by their defaults."""
        into, out, read, write = (getattr(self, name) for name in PRICES)
        plain = 1000.0 * self.cost
        into = plain if into is None else into
        return (
            into,
            plain if out is None else out,
            into if read is None else read,
            into if write is None else write,
        )

    @property
    def _priced(self) -> str:
        """The prices for people: ``0.03``, or ``0.00438: 2.5 in, 10 out a million``."""
        if not self.priced:
            return short(self.cost)
        into, out, read, write = self.rates
        cached = "" if read == into else f", {short(read)} cached"
        cached += "" if write == into else f", {short(write)} cache writes"
        return f"{short(self.cost, 3)} ({short(into)} in{cached}, {short(out)} out a million)"

    @property
    def row(self) -> tuple[str, ...]:
        """The agent in a table for people, whose columns are :data:`HEADS`."""
        return (
            self.name,
            self.id,
            self._priced,
            f"{short(self.latency)} ± {short(self.latency * self.latency_cv, 2)}",
            str(self.concurrency),
            ", ".join(self.strengths),
        )

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
        return display.card("1 agents", display.table(HEADS, [self.row]))


def explain(message: str, content: Any) -> str:
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
    allowed = _allowed(what, field)
    said = f", found {found!r}" if found is not None else ""
    if allowed.startswith(_CHOICES):
        said += did_you_mean(str(found), allowed.removeprefix(_CHOICES).split(", "))
    return f"{where}, {'field ' + field if field else 'record'}: {allowed}{said}"


_CHOICES = "Expected one of "


def _allowed(what: str, field: str) -> str:
    """A message of msgspec on a field, with the allowed values where it names none."""
    if what.startswith("Object contains unknown field"):
        return unknown_field(what.split("`")[1], Agent.__struct_fields__)
    if what.startswith("Invalid enum value"):
        kinds = [get_type_hints(_Fields)[field], *get_args(get_type_hints(_Fields)[field])]
        [choices] = [get_args(kind) for kind in kinds if get_origin(kind) is Literal]
        return _CHOICES + ", ".join(choices)
    return what
