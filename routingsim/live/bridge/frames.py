"""The frames between bridge and client that are not messages, as types."""

from typing import Literal

import msgspec


class SubscribeFrame(msgspec.Struct, tag="subscribe"):
    """Send a channel: after the last ``history`` messages, or all after the id ``since``."""

    channel: str
    since: str | None = None
    history: int | None = None


class UnsubscribeFrame(msgspec.Struct, tag="unsubscribe"):
    """Send no more of a channel."""

    channel: str


class PingFrame(msgspec.Struct, tag="ping"):
    """Answer with pong."""


class AuthFrame(msgspec.Struct, tag="auth"):
    """The token, where the bridge asks for one."""

    token: str


ClientFrame = SubscribeFrame | UnsubscribeFrame | PingFrame | AuthFrame


class SubscribedFrame(msgspec.Struct, tag="subscribed"):
    """The confirmation of a subscription; its messages follow."""

    channel: str


class UnsubscribedFrame(msgspec.Struct, tag="unsubscribed"):
    """The confirmation that a channel is not sent any more."""

    channel: str


class PongFrame(msgspec.Struct, tag="pong"):
    """The answer to a ping."""


class AuthenticatedFrame(msgspec.Struct, tag="authenticated"):
    """The token is right, or none is asked for."""


ErrorCode = Literal[
    "bad_json",
    "bad_frame",
    "binary",
    "unknown_channel",
    "too_many_subscriptions",
    "unauthorized",
]


class ErrorFrame(msgspec.Struct, tag="error"):
    """What was wrong with a frame of the client."""

    code: ErrorCode
    message: str


class GapFrame(msgspec.Struct, tag="gap", omit_defaults=True):
    """Messages after ``since`` are lost; ``oldest`` is the first still there, null if none is.

    A notice of a publisher, kept in the history, has an ``id`` and the ``count`` of the messages.
    """

    channel: str
    since: str
    oldest: str | None
    count: int | None = None
    id: str | None = None


class DroppedFrame(msgspec.Struct, tag="dropped"):
    """The client is slow, and some messages were left out here."""

    channel: str
    count: int


class StatusFrame(msgspec.Struct, tag="status"):
    """Whether the bridge has Redis."""

    upstream: Literal["up", "down"]


ServerFrame = (
    SubscribedFrame
    | UnsubscribedFrame
    | PongFrame
    | AuthenticatedFrame
    | ErrorFrame
    | GapFrame
    | DroppedFrame
    | StatusFrame
)
