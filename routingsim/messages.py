"""The messages between router, broker and clients: camelCase in JSON, snake_case in Python.

There are three: a routing decision on the Redis channel ``task:routing``, an agent's
status on ``agent:status``, and on ``replay:progress`` the progress of a replay whose
decisions and statuses are on the other two. All are JSON objects with a ``type`` and a
``payload``; the broker adds a top-level ``id`` when it stores a message (see
:mod:`routingsim.live`). Readers ignore fields they do not know.
"""

import html
from collections.abc import Sequence
from typing import ClassVar, Literal

import msgspec

from routingsim.errors import ProtocolError

# A router makes hundreds of thousands of these objects. None can be part of a reference cycle,
# so the garbage collector need not track them (gc=False).

DECISIONS = "task:routing"
"""Redis channel of routing decisions."""

STATUSES = "agent:status"
"""Redis channel of agent statuses."""

REPLAYS = "replay:progress"
"""Redis channel of a replay's progress."""


class AgentInfo(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The agent that got a task, as a client shows it.

    ``cost`` is in USD per 1,000 tokens, ``latency`` in seconds.
    """

    name: str
    id: str
    strengths: tuple[str, ...]
    cost: float
    latency: float


class ComplexityFactors(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The three counts behind a complexity score."""

    length: int
    punctuation: int
    unique_tokens: int


class ComplexityScore(msgspec.Struct, frozen=True, gc=False):
    """A text's complexity ``d_var`` in [0, 1), and the counts behind it."""

    d_var: float
    factors: ComplexityFactors


class Try(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One call of a task in a replay: its agent, how long it waited and was served, how it ended.

    ``sent`` is in seconds after the task's arrival; ``waited`` (in the agent's queue) and
    ``served`` are in seconds; ``status`` is ok, failed, timed_out, shed, rejected, too_long or
    escalated.
    """

    agent_id: str
    sent: float
    waited: float
    served: float
    status: str


class RoutingDecision(msgspec.Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """Which agent got a task, and why. ``timestamp`` is in ms since the epoch.

    ``propensity`` is the probability with which the agent was chosen, of a router that
    explores (:class:`routingsim.TaskRouter`); None, and not in the message, where it is not
    known. ``expected_cost`` is the USD that the task is expected to cost at this agent, for an
    agent with prices of prompts or answers; None, and not in the message, for others.
    ``tries`` are the task's calls, in a replay, which knows them.
    """

    task_id: str
    agent: AgentInfo
    complexity_score: ComplexityScore
    reason: str
    timestamp: int
    propensity: float | None = None
    expected_cost: float | None = None
    tries: tuple[Try, ...] = ()

    dropped: ClassVar[int] = 0
    """Older messages that the publisher dropped for this one; not in the message."""

    def __repr__(self) -> str:
        return f"<RoutingDecision: {self.agent.id}, D_var {self.complexity_score.d_var:.3f}>"

    def _repr_html_(self) -> str:
        score = self.complexity_score.d_var
        return (
            f"<b>{html.escape(self.agent.name)}</b> &larr; task "
            f"<code>{html.escape(self.task_id[:8])}</code> &middot; D<sub>var</sub> {score:.3f}"
            f"<br><small>{html.escape(self.reason)}</small>"
        )


class AgentStatus(msgspec.Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """How busy an agent is: ``load`` is slots in use over slots, 0 to 1.

    What follows ``timestamp`` is not in the message where the publisher does not know it:
    ``queued`` are calls that wait for a slot. ``wait`` is in a status that a call's start caused,
    and says how long it had waited; ``latency`` is in one that a call's end caused, and says how
    long it took with its wait. Both are in seconds.
    """

    agent_id: str
    name: str
    status: Literal["available", "busy", "offline"]
    load: float
    timestamp: int
    queued: int | None = None
    wait: float | None = None
    latency: float | None = None


class ReplayProgress(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The progress of a replay, sent about once a second while it is published.

    Attributes
    ----------
    title : str
        A description of the replay.
    at, end : float
        Seconds of simulated time reached, and in all (None where not known).
    speed : float
        Simulated seconds per second.
    lag : float
        Seconds by which the replay is late.
    over : bool
        Whether this is the last message about it.
    timestamp : int
        Milliseconds since the epoch.
    """

    title: str
    at: float
    end: float | None
    speed: float
    lag: float
    over: bool
    timestamp: int


class DecisionMessage(msgspec.Struct, frozen=True, tag="routing_decision", omit_defaults=True):
    """A decision as a message."""

    payload: RoutingDecision
    id: str | None = None


class StatusMessage(msgspec.Struct, frozen=True, tag="agent_status", omit_defaults=True):
    """A status as a message."""

    payload: AgentStatus
    id: str | None = None


class ReplayMessage(msgspec.Struct, frozen=True, tag="replay_progress", omit_defaults=True):
    """A replay's progress as a message."""

    payload: ReplayProgress
    id: str | None = None


Body = RoutingDecision | AgentStatus | ReplayProgress
Message = DecisionMessage | StatusMessage | ReplayMessage

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Message)
_FRAMES: dict[type, type] = {
    RoutingDecision: DecisionMessage,
    AgentStatus: StatusMessage,
    ReplayProgress: ReplayMessage,
}
_CHANNELS: dict[type, str] = {
    RoutingDecision: DECISIONS,
    AgentStatus: STATUSES,
    ReplayProgress: REPLAYS,
}


def channel_of(body: Body) -> str:
    """The Redis channel of a decision, a status or a replay's progress.

    Raises
    ------
    KeyError
        If it is none of these.
    """
    return _CHANNELS[type(body)]


def encode(body: Body) -> bytes:
    """A decision, a status or a replay's progress as a message: JSON in bytes.

    Raises
    ------
    KeyError
        If it is none of these.
    """
    return _encoder.encode(_FRAMES[type(body)](body))


def encode_all(bodies: Sequence[Body]) -> list[bytes]:
    """:func:`encode` of each, a quarter quicker than one by one."""
    framed = [_FRAMES[type(body)](body) for body in bodies]
    return _encoder.encode_lines(framed).split(b"\n")[:-1]  # JSON has no newline of its own


def decode(data: bytes | str) -> Message:
    """Read one message.

    Raises
    ------
    ProtocolError
        If ``data`` is not JSON, or none of the three messages.
    """
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ProtocolError(f"not a routingsim message: {error}") from error
