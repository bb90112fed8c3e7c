"""A WebSocket client for programs and notebooks, and tables of the messages it received."""

import asyncio
import contextlib
import random
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Self

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, InvalidURI, WebSocketException

from routingsim.errors import BrokerError, ProtocolError
from routingsim.live.bridge.protocol import CHANNELS, MessageId, parse_id
from routingsim.messages import DECISIONS, REPLAYS, STATUSES, Message, channel_of, decode

if TYPE_CHECKING:
    import pandas as pd

BACKOFF_SECONDS = (0.05, 2.0)
"""Longest pause after the first failed attempt to connect, and after any later one."""

YEAR_10000 = 253_402_300_800_000
"""Milliseconds from 1970 to the year 10000, which no date of Python's reaches."""

OPEN_SECONDS = 5.0
"""Time an attempt to connect may take."""

_COLUMNS = {
    DECISIONS: {
        "task_id": "task_id",
        "agent": "agent.id",
        "d_var": "complexity_score.d_var",
        "reason": "reason",
    },
    STATUSES: {"agent": "agent_id", "status": "status", "load": "load"},
    REPLAYS: {name: name for name in ("title", "at", "end", "speed", "lag")},
}
"""Where a channel's messages have the columns of its table."""

_TEXTS = {"task_id", "agent", "reason", "status", "title"}


class Listener:
    """Receives a bridge's messages in a thread of its own, and keeps them.

    When the connection is lost, the listener connects again and asks for every message after
    the last one of each channel, so that it gets each message exactly once, in order. (Without
    ``since``, that holds from a channel's first message on.)

    Parameters
    ----------
    url
        URL of the bridge, such as ``ws://127.0.0.1:3001``.
    channels
        Channels to subscribe to.
    since
        Message id after which to begin, or one for each channel; ``"0"`` for every message
        that is kept. By default, messages from now on.
    token
        Token that the bridge asks for, if it does.
    keep
        Number of messages to keep, the latest ones.

    Raises
    ------
    BrokerError
        If there is no bridge at ``url``, or it refuses the connection.

    Attributes
    ----------
    notices
        The bridge's other frames: gaps in its history, errors, the state of its Redis
        connection.

    Examples
    --------
    >>> with Listener(live.url) as listener:  # doctest: +SKIP
    ...     router.route("Say hello")
    ...     listener.wait_for(1)
    """

    def __init__(
        self,
        url: str,
        channels: Sequence[str] = CHANNELS,
        *,
        since: str | Mapping[str, str] | None = None,
        token: str | None = None,
        keep: int = 100_000,
    ) -> None:
        if isinstance(channels, str):
            channels = [channels]
        self.url = url
        self.notices: deque[dict[str, Any]] = deque(maxlen=1_000)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._last = {
            channel: since.get(channel) if isinstance(since, Mapping) else since
            for channel in channels
        }
        self._messages: deque[Message] = deque(maxlen=keep)
        self._count = self._connections = 0
        self._unconfirmed = set(channels)
        self._connected = False
        self._error: Exception | None = None
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="routingsim-listener", daemon=True)
        self._thread.start()
        try:
            with self._changed:
                self._changed.wait_for(lambda: not self._unconfirmed or self._error)
            if self._unconfirmed:
                raise BrokerError(_refusal(url, self._error)) from self._error
        except BaseException:
            self.close()
            raise

    @property
    def messages(self) -> list[Message]:
        """The messages kept, oldest first."""
        with self._changed:
            return list(self._messages)

    @property
    def count(self) -> int:
        """Number of messages received, kept or not."""
        return self._count

    @property
    def is_connected(self) -> bool:
        """Whether it is connected now."""
        return self._connected

    @property
    def reconnects(self) -> int:
        """Number of connections after the first."""
        return max(self._connections - 1, 0)

    def wait_for(
        self, count: int, timeout: float = 10.0, *, channel: str | None = None
    ) -> list[Message]:
        """Wait until this many messages have been received, and return the first of those kept.

        Parameters
        ----------
        count
            Number of messages, of those since the listener began.
        timeout
            Time to wait (s).
        channel
            Count only messages of this channel.

        Raises
        ------
        TimeoutError
            If fewer have been received; the message says how many.
        """

        def found() -> list[Message]:
            if channel is None:
                return list(self._messages)
            return [m for m in self._messages if channel_of(m.payload) == channel]

        with self._changed:
            if self._changed.wait_for(
                lambda: self._count >= count and len(found()) >= count, timeout
            ):
                return found()[:count]
            raise TimeoutError(
                f"{len(found())} of {count} messages came from {self.url} in {timeout:g} s"
            )

    def to_frame(self, channel: str = DECISIONS) -> "pd.DataFrame":
        """A table of the messages of one channel; see :func:`to_frame`."""
        return to_frame(self.messages, channel)

    def close(self) -> None:
        """Stop listening; the messages are still kept."""
        self._closed = True
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._cancel)
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "connected" if self._connected else "reconnecting"
        return f"<Listener to {self.url}: {self._count} messages, {state}>"

    # In the thread

    def _run(self) -> None:
        with (
            contextlib.suppress(asyncio.CancelledError),
            asyncio.Runner(loop_factory=lambda: self._loop) as runner,
        ):
            runner.run(self._listen())

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _listen(self) -> None:
        self._task = asyncio.current_task()
        failures = 0
        while not self._closed:
            began = time.monotonic()
            try:
                async with connect(
                    self.url,
                    additional_headers=self._headers,
                    compression=None,
                    max_size=None,
                    open_timeout=OPEN_SECONDS,
                    proxy=None,
                ) as ws:
                    self._connected = True
                    self._connections += 1
                    await self._receive(ws)
            except (OSError, TimeoutError, WebSocketException) as error:
                with self._changed:
                    self._error = error
                    self._changed.notify_all()
            finally:
                self._connected = False
            first, longest = BACKOFF_SECONDS
            failures = 0 if time.monotonic() - began > longest else failures + 1
            await asyncio.sleep(random.uniform(0, min(longest, first * 2 ** min(failures, 10))))

    async def _receive(self, ws: ClientConnection) -> None:
        for channel, last in self._last.items():
            request = {"type": "subscribe", "channel": channel}
            if last is not None:
                request["since"] = last
            await ws.send(msgspec.json.encode(request), text=True)
        async for frame in ws:
            self._take(frame)

    def _take(self, frame: str | bytes) -> None:
        try:
            message = decode(frame)
        except ProtocolError:  # a frame of the bridge's own
            self._take_notice(msgspec.json.decode(frame))
            return
        channel = channel_of(message.payload)
        last = self._last.get(channel)
        if message.id is not None:
            if last is not None and _order(message.id) <= _order(last):
                return
            self._last[channel] = message.id
        with self._changed:
            self._messages.append(message)
            self._count += 1
            self._changed.notify_all()

    def _take_notice(self, notice: dict[str, Any]) -> None:
        with self._changed:
            if notice.get("type") == "subscribed":
                self._unconfirmed.discard(notice["channel"])
            else:
                self.notices.append(notice)
                if notice.get("type") == "gap":  # a new server may number from a lower id
                    self._last[notice["channel"]] = "0"
                if notice.get("type") == "error" and self._unconfirmed:
                    self._error = ProtocolError(notice["message"])
            self._changed.notify_all()


def to_frame(messages: Iterable[Message], channel: str = DECISIONS) -> "pd.DataFrame":
    """A table of the messages of one channel, a row each, in their order.

    Parameters
    ----------
    messages
        Messages of any channel.
    channel
        ``task:routing``, ``agent:status`` or ``replay:progress``.

    Returns
    -------
    DataFrame
        Columns id and time (UTC); for decisions also task_id, agent, d_var and reason; for
        statuses agent, status and load (0 to 1); for replays title, at, end, speed and lag
        (see :class:`routingsim.messages.ReplayProgress`).
    """
    import pandas as pd  # takes half a second, and only tables need it

    kept = [message for message in messages if channel_of(message.payload) == channel]
    payloads: list[Any] = [message.payload for message in kept]
    # Anyone may publish: a time outside the years 1970 to 9999 is NaT.
    stamps = [p.timestamp if 0 <= p.timestamp < YEAR_10000 else None for p in payloads]
    times = pd.to_datetime(stamps, unit="ms", utc=True)
    columns: dict[str, Any] = {
        "id": pd.Series([message.id for message in kept], dtype="str"),
        "time": pd.Series(times, dtype="datetime64[ms, UTC]"),
    }
    for name, path in _COLUMNS.get(channel, _COLUMNS[REPLAYS]).items():
        dtype = "str" if name in _TEXTS else "float64"
        columns[name] = pd.Series([attrgetter(path)(p) for p in payloads], dtype=dtype)
    return pd.DataFrame(columns)


def _order(id: str) -> MessageId:
    """The id's parts, by which messages are ordered; zeros for an id of another form."""
    try:
        return parse_id(id)
    except ValueError:
        return (0, 0)


def _refusal(url: str, error: Exception | None) -> str:
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        hint = "give its token: Listener(url, token=…)" if status == 401 else "its log says why"
        return f"the bridge at {url} refuses the connection with HTTP status {status}; {hint}"
    if isinstance(error, ConnectionClosed):
        return f"the bridge at {url} closed the connection: {error}; does it ask for a token?"
    if isinstance(error, ProtocolError):
        return f"the bridge at {url} refuses the subscription: {error}"
    if isinstance(error, InvalidURI):
        return f"{url!r} is not a WebSocket URL; allowed is ws://host:port or wss://host:port"
    return f"no bridge at {url}: {error}. Start one: LiveStack(), or `routingsim serve`"
