"""The protocol between bridge and WebSocket client, without I/O; docs/protocol.md has its frames.

:class:`Session` keeps the state of one client. It takes frames and the time, and
returns actions for the caller to carry out.
"""

import hmac
import re
from dataclasses import dataclass
from typing import ClassVar

import msgspec

from routingsim.live.bridge.frames import (
    AuthenticatedFrame,
    AuthFrame,
    ClientFrame,
    DroppedFrame,
    ErrorCode,
    ErrorFrame,
    GapFrame,
    PingFrame,
    PongFrame,
    StatusFrame,
    SubscribedFrame,
    SubscribeFrame,
    UnsubscribedFrame,
    UnsubscribeFrame,
)
from routingsim.messages import DECISIONS, REPLAYS, STATUSES

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

    SPARE: ClassVar[int] = 128
    """Connections above the limit that still get an answer saying so; any further ones are
    closed."""

    @property
    def flood(self) -> int:
        """TCP connections in all; those above ``connections`` get an answer that refuses them."""
        return self.connections + min(self.connections, self.SPARE)

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) > 0:
                raise ValueError(f"limit {name} is {getattr(self, name)!r}: must be above 0")


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


Action = bytes | Subscribe | Unsubscribe | Close
"""What to do for a client; ``bytes`` are a JSON text to send."""


_decoder = msgspec.json.Decoder(ClientFrame)
_encode = msgspec.json.Encoder().encode


def parse_id(text: str) -> MessageId:
    """``"1699564800000-3"`` as ``(1699564800000, 3)``; the counter is 0 when left out.

    Raises ValueError for any other text.
    """
    match = _match_id(text)
    if match is None:
        raise ValueError(f"{text[:64]!r} is not a message id such as '1699564800000-0'")
    when, count = match.groups("0")
    return int(when), int(count)


def format_id(place: MessageId) -> str:
    """The inverse of :func:`parse_id`."""
    return f"{place[0]}-{place[1]}"


def gap(channel: str, since: MessageId, oldest: MessageId | None) -> bytes:
    """A notice that messages after ``since`` and before ``oldest`` are lost."""
    first = None if oldest is None else format_id(oldest)
    return _encode(GapFrame(channel, format_id(since), first))


def subscribed(channel: str) -> bytes:
    """The confirmation of a subscription."""
    return _encode(SubscribedFrame(channel))


def dropped(channel: str, count: int) -> bytes:
    """A notice that ``count`` messages were skipped for a slow client."""
    return _encode(DroppedFrame(channel, count))


def upstream_status(up: bool) -> bytes:
    """A notice that the bridge has lost Redis, or is connected again."""
    return _encode(StatusFrame("up" if up else "down"))


class Session:
    """Protocol state of one client, who connects at ``now`` (s).

    ``token`` is what the client must send first; None if none is needed.
    """

    def __init__(self, limits: Limits, now: float, *, token: str | None = None) -> None:
        self.limits = limits
        self.authenticated = token is None
        self.subscriptions: set[str] = set()
        self._token = token
        self._tokens, self._refilled = float(limits.frame_burst), now

    def admit(self, now: float) -> Close | None:
        """Count a frame of any kind received at ``now`` (s); Close if it exceeds the rate."""
        limits, elapsed = self.limits, max(0.0, now - self._refilled)
        tokens = min(limits.frame_burst, self._tokens + elapsed * limits.frames_per_second)
        self._tokens, self._refilled = tokens - (tokens >= 1.0), now
        return None if tokens >= 1.0 else Close(POLICY_VIOLATION, "too many frames")

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
        if isinstance(frame, AuthFrame):
            return self._authenticate(frame.token)
        if not self.authenticated:
            return self._refuse("unauthorized", "send an auth frame first")
        if isinstance(frame, PingFrame):
            return [_encode(PongFrame())]
        if frame.channel not in CHANNELS:
            known = ", ".join(CHANNELS)
            return self._refuse(
                "unknown_channel", f"no channel {frame.channel[:64]!r}; try {known}"
            )
        if isinstance(frame, UnsubscribeFrame):
            self.subscriptions.discard(frame.channel)
            reply = _encode(UnsubscribedFrame(frame.channel))
            return [Unsubscribe(frame.channel, reply)]
        return self._subscribe(frame)

    def _subscribe(self, frame: SubscribeFrame) -> list[Action]:
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
        reply = subscribed(frame.channel)
        return [Subscribe(frame.channel, since, frame.history, reply)]

    def _authenticate(self, token: str) -> list[Action]:
        if self._token is not None and not self.authenticated:
            given = token.encode(errors="surrogatepass")
            if not hmac.compare_digest(given, self._token.encode()):
                return self._refuse("unauthorized", "wrong token")
            self.authenticated = True
        return [_encode(AuthenticatedFrame())]

    def _refuse(self, code: ErrorCode, message: str) -> list[Action]:
        code = code if self.authenticated else "unauthorized"
        frame = _encode(ErrorFrame(code, message))
        # One attempt per connection, so that tokens cannot be guessed quickly.
        close = self.auth_overdue()
        return [frame] if close is None else [frame, close]
