"""The protocol between bridge and WebSocket client, without I/O.

A client sends JSON objects in text frames::

    {"type": "subscribe", "channel": "task:routing"}
    {"type": "subscribe", "channel": "task:routing", "since": "1699564800000-0"}
    {"type": "subscribe", "channel": "task:routing", "history": 100}
    {"type": "unsubscribe", "channel": "task:routing"}
    {"type": "ping"}
    {"type": "auth", "token": "…"}

The server passes on each Redis message unchanged. Its own frames are

=====================================================  =============================
``{"type":"subscribed","channel":c}``                  subscribed; messages follow
``{"type":"unsubscribed","channel":c}``                no more messages of ``c``
``{"type":"pong"}``                                    answer to a ping
``{"type":"authenticated"}``                           the token is right
``{"type":"error","code":…,"message":…}``              the frame was refused
``{"type":"gap","channel":c,"since":id,"oldest":id}``  messages after ``since`` are lost
``{"type":"dropped","channel":c,"count":n}``           slow client: ``n`` were skipped
``{"type":"status","upstream":"down"}``                the bridge has lost Redis
``{"type":"status","upstream":"up"}``                  the bridge is connected again
=====================================================  =============================

``oldest`` is the first message still stored, null if there is none. An invalid
frame is answered with an error frame; too many frames close the connection with
1008.

:class:`Session` keeps the state of one client. It takes frames and the time, and
returns actions for the caller to carry out.
"""

import hmac
import re
from dataclasses import dataclass

import msgspec

from routingsim.messages import DECISIONS, REPLAYS, STATUSES

__all__ = [
    "CHANNELS",
    "Action",
    "Close",
    "Limits",
    "MessageId",
    "Reply",
    "Session",
    "Subscribe",
    "TokenBucket",
    "Unsubscribe",
    "dropped",
    "error",
    "format_id",
    "gap",
    "parse_id",
    "upstream_status",
]

CHANNELS = (DECISIONS, STATUSES, REPLAYS)
"""The channels a client may subscribe to."""

POLICY_VIOLATION = 1008

MessageId = tuple[int, int]
"""Id of a message in its channel: milliseconds since the epoch, and a counter."""

_match_id = re.compile(r"(\d{1,20})(?:-(\d{1,20}))?", re.ASCII).fullmatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits on one client, and on all clients together.

    Attributes
    ----------
    frame_bytes
        Largest frame or fragmented message from a client, bytes; larger ones
        close the connection with 1009.
    subscriptions
        Channels a client may be subscribed to at once.
    frames_per_second, frame_burst
        Rate and burst size of the frames that a client may send; a client that
        exceeds them is closed with 1008.
    connections, connections_per_address
        Open connections in all, and from one IP address. Further ones are
        refused with 503 and 429.
    queue_messages, queue_bytes
        Messages and bytes that may wait for a slow client.
    history_messages, history_bytes
        Messages and bytes of each channel that the bridge keeps for replay.
    handshake_seconds, auth_seconds
        Time to finish the opening handshake, and to send the token after it.
    stall_seconds
        A client that reads nothing for this long while data waits is disconnected.
    close_seconds
        Time for a client to answer a close frame.
    """

    frame_bytes: int = 65_536
    subscriptions: int = 16
    frames_per_second: float = 100.0
    frame_burst: int = 1_000
    connections: int = 1_000
    connections_per_address: int = 500
    queue_messages: int = 20_000
    queue_bytes: int = 16 * 2**20
    history_messages: int = 10_000
    history_bytes: int = 64 * 2**20
    handshake_seconds: float = 5.0
    auth_seconds: float = 5.0
    stall_seconds: float = 20.0
    close_seconds: float = 1.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) > 0:
                raise ValueError(f"limit {name} is {getattr(self, name)!r}: must be above 0")


@dataclass(frozen=True, slots=True)
class Reply:
    """Send this JSON text to the client."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Confirm with ``reply``, then send the replay, then live messages.

    ``since`` asks for all messages after that id, ``history`` for the last ones;
    with neither there is no replay.
    """

    channel: str
    since: MessageId | None
    history: int | None
    reply: bytes


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Stop sending ``channel``, then confirm with ``reply``."""

    channel: str
    reply: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection with this WebSocket close code."""

    code: int
    reason: str


Action = Reply | Subscribe | Unsubscribe | Close


class _Subscribe(msgspec.Struct, tag="subscribe"):
    channel: str
    since: str | None = None
    history: int | None = None


class _Unsubscribe(msgspec.Struct, tag="unsubscribe"):
    channel: str


class _Ping(msgspec.Struct, tag="ping"):
    pass


class _Auth(msgspec.Struct, tag="auth"):
    token: str


_decoder = msgspec.json.Decoder(_Subscribe | _Unsubscribe | _Ping | _Auth)
_encode = msgspec.json.Encoder().encode


def parse_id(text: str) -> MessageId:
    """``"1699564800000-3"`` as ``(1699564800000, 3)``; the counter is 0 when left out.

    Raises
    ------
    ValueError
        If ``text`` is not a message id.
    """
    match = _match_id(text)
    if match is None:
        raise ValueError(f"{text[:64]!r} is not a message id such as '1699564800000-0'")
    when, count = match.groups("0")
    return int(when), int(count)


def format_id(place: MessageId) -> str:
    """The inverse of :func:`parse_id`."""
    return f"{place[0]}-{place[1]}"


def error(code: str, message: str) -> bytes:
    """An error frame: ``code`` for programs, ``message`` for people."""
    return _encode({"type": "error", "code": code, "message": message})


def gap(channel: str, since: MessageId, oldest: MessageId | None) -> bytes:
    """A notice that messages after ``since`` and before ``oldest`` are lost."""
    return _encode(
        {
            "type": "gap",
            "channel": channel,
            "since": format_id(since),
            "oldest": None if oldest is None else format_id(oldest),
        }
    )


def dropped(channel: str, count: int) -> bytes:
    """A notice that ``count`` messages were skipped for a slow client."""
    return _encode({"type": "dropped", "channel": channel, "count": count})


def upstream_status(up: bool) -> bytes:
    """A notice that the bridge has lost Redis, or is connected again."""
    return _encode({"type": "status", "upstream": "up" if up else "down"})


class TokenBucket:
    """Rate limiter: ``burst`` tokens at most, refilled at ``rate`` per second."""

    __slots__ = ("burst", "rate", "tokens", "updated")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate = rate
        self.burst = burst
        self.tokens = float(burst)
        self.updated = now

    def take(self, now: float) -> bool:
        """Take one token at time ``now`` (s); False if none is left."""
        elapsed = max(0.0, now - self.updated)
        self.tokens = min(self.burst, self.tokens + elapsed * self.rate)
        self.updated = now
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True


class Session:
    """Protocol state of one client.

    Parameters
    ----------
    limits
        See :class:`Limits`.
    now
        The time of connecting, in seconds.
    token
        The token that the client must send first; None if none is needed.
    """

    def __init__(self, limits: Limits, now: float, *, token: str | None = None) -> None:
        self.limits = limits
        self.authenticated = token is None
        self.subscriptions: set[str] = set()
        self._token = token
        self._bucket = TokenBucket(limits.frames_per_second, limits.frame_burst, now)

    def admit(self, now: float) -> Close | None:
        """Count a frame of any kind received at ``now`` (s); Close if it exceeds the rate."""
        if self._bucket.take(now):
            return None
        return Close(POLICY_VIOLATION, "too many frames")

    def auth_overdue(self) -> Close | None:
        """Close if the client has not sent its token; called when ``auth_seconds`` are over."""
        return None if self.authenticated else Close(POLICY_VIOLATION, "authentication required")

    def receive(self, message: str | bytes) -> list[Action]:
        """Actions that answer a message from the client, in order. Never raises."""
        if isinstance(message, bytes):
            return self._refuse("binary", "binary frames are not supported: send JSON as text")
        try:
            frame = _decoder.decode(message)
        except msgspec.ValidationError as problem:
            return self._refuse(
                "bad_frame", f"{problem}; see the wire protocol for what is allowed"
            )
        except (msgspec.DecodeError, UnicodeEncodeError) as problem:
            return self._refuse("bad_json", f"not JSON: {problem}")
        except RecursionError:
            return self._refuse("bad_json", "nested too deeply")
        if isinstance(frame, _Auth):
            return self._authenticate(frame.token)
        if not self.authenticated:
            return self._refuse("unauthorized", "send an auth frame first")
        if isinstance(frame, _Ping):
            return [Reply(b'{"type":"pong"}')]
        if frame.channel not in CHANNELS:
            known = ", ".join(CHANNELS)
            return self._refuse(
                "unknown_channel", f"no channel {frame.channel[:64]!r}; try {known}"
            )
        if isinstance(frame, _Unsubscribe):
            self.subscriptions.discard(frame.channel)
            reply = _encode({"type": "unsubscribed", "channel": frame.channel})
            return [Unsubscribe(frame.channel, reply)]
        return self._subscribe(frame)

    def _subscribe(self, frame: _Subscribe) -> list[Action]:
        if frame.since is not None and frame.history is not None:
            return self._refuse("bad_frame", "give since or history, not both")
        if frame.history is not None and frame.history < 0:
            return self._refuse("bad_frame", f"history is {frame.history}: must be 0 or more")
        try:
            since = None if frame.since is None else parse_id(frame.since)
        except ValueError as problem:
            return self._refuse("bad_frame", f"since: {problem}")
        others = self.subscriptions - {frame.channel}
        if len(others) >= self.limits.subscriptions:
            return self._refuse("too_many_subscriptions", f"at most {self.limits.subscriptions}")
        self.subscriptions.add(frame.channel)
        reply = _encode({"type": "subscribed", "channel": frame.channel})
        return [Subscribe(frame.channel, since, frame.history, reply)]

    def _authenticate(self, token: str) -> list[Action]:
        if self._token is not None and not self.authenticated:
            given = token.encode(errors="surrogatepass")
            if not hmac.compare_digest(given, self._token.encode()):
                return self._refuse("unauthorized", "wrong token")
            self.authenticated = True
        return [Reply(b'{"type":"authenticated"}')]

    def _refuse(self, code: str, message: str) -> list[Action]:
        if self.authenticated:
            return [Reply(error(code, message))]
        # One attempt per connection, so that tokens cannot be guessed quickly.
        return [
            Reply(error("unauthorized", message)),
            Close(POLICY_VIOLATION, "authentication required"),
        ]
