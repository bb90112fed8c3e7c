"""A WebSocket client for programs and notebooks, and tables of what it got."""

import asyncio
import contextlib
import random
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, InvalidURI, WebSocketException

from routingsim.errors import BrokerError, ProtocolError
from routingsim.live.bridge.protocol import CHANNELS, MessageId, parse_id
from routingsim.messages import DECISIONS, STATUSES, Message, channel_of, decode

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Listener", "to_frame"]

BACKOFF_SECONDS = (0.05, 2.0)
"""First and longest pause between attempts to connect."""

OPEN_SECONDS = 5.0
"""Time that connecting may take."""


class Listener:
    """Listens to a bridge in a background thread, and keeps what it hears.

    When the connection is lost, it is made anew, and the bridge asked for all after the last
    message of each channel, so that each message is had exactly once, in order. (Where
    ``since`` is not given, that holds from a channel's first message on.)

    Parameters
    ----------
    url
        Of the bridge, such as ``ws://127.0.0.1:3001``.
    channels
        What to listen to.
    since
        Message id after which to begin, or one for each channel; ``"0"`` for all there is.
        By default what comes from now on.
    token
        What the bridge wants to be shown, if anything.
    keep
        Messages to keep, the latest.

    Raises
    ------
    BrokerError
        If there is no bridge at ``url``, or it does not let us in.

    Attributes
    ----------
    notices
        Other frames of the bridge: gaps in its history, errors, the state of its Redis.

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
        self._waiting = set(channels)
        self._connected = False
        self._trouble: Exception | None = None
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="routingsim-listener", daemon=True)
        self._thread.start()
        try:
            with self._changed:
                self._changed.wait_for(lambda: not self._waiting or self._trouble)
            if self._waiting:
                raise BrokerError(_cannot(url, self._trouble)) from self._trouble
        except BaseException:
            self.close()
            raise

    @property
    def messages(self) -> list[Message]:
        """What came, oldest first."""
        with self._changed:
            return list(self._messages)

    @property
    def count(self) -> int:
        """How many messages came, whether or not they are still kept."""
        return self._count

    @property
    def is_connected(self) -> bool:
        """Whether the connection is there."""
        return self._connected

    @property
    def reconnects(self) -> int:
        """How often the connection was made anew."""
        return max(self._connections - 1, 0)

    def wait_for(
        self, count: int, timeout: float = 10.0, *, channel: str | None = None
    ) -> list[Message]:
        """Wait until so many messages have come since the beginning, and return them.

        Parameters
        ----------
        count
            How many.
        timeout
            Seconds to wait.
        channel
            Count only this one's.

        Raises
        ------
        TimeoutError
            If fewer came; the message says how many.
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
        """What came on one channel, a row a message; see :func:`to_frame`."""
        return to_frame(self.messages, channel)

    def close(self) -> None:
        """Stop listening; what came can still be looked at."""
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

    # In the background

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
                    await self._converse(ws)
            except (OSError, TimeoutError, WebSocketException) as error:
                self._tell(error)
            finally:
                self._connected = False
            first, longest = BACKOFF_SECONDS
            failures = 0 if time.monotonic() - began > longest else failures + 1
            await asyncio.sleep(random.uniform(0, min(longest, first * 2 ** min(failures, 10))))

    async def _converse(self, ws: ClientConnection) -> None:
        for channel, last in self._last.items():
            request = {"type": "subscribe", "channel": channel}
            if last is not None:
                request["since"] = last
            await ws.send(msgspec.json.encode(request), text=True)
        async for frame in ws:
            self._hear(frame)

    def _hear(self, frame: str | bytes) -> None:
        try:
            message = decode(frame)
        except ProtocolError:  # not a message, but about messages
            self._note(msgspec.json.decode(frame))
            return
        channel = channel_of(message.payload)
        last = self._last.get(channel)
        if message.id is not None:
            if last is not None and _place(message.id) <= _place(last):
                return
            self._last[channel] = message.id
        with self._changed:
            self._messages.append(message)
            self._count += 1
            self._changed.notify_all()

    def _note(self, notice: dict[str, Any]) -> None:
        with self._changed:
            if notice.get("type") == "subscribed":
                self._waiting.discard(notice["channel"])
            else:
                self.notices.append(notice)
                if notice.get("type") == "gap":  # the ids to come may be a younger server's, lower
                    self._last[notice["channel"]] = "0"
                if notice.get("type") == "error" and self._waiting:
                    self._trouble = ProtocolError(notice["message"])
            self._changed.notify_all()

    def _tell(self, error: Exception) -> None:
        with self._changed:
            self._trouble = error
            self._changed.notify_all()


def to_frame(messages: Iterable[Message], channel: str = DECISIONS) -> "pd.DataFrame":
    """A table of messages, a row each, in their order.

    Parameters
    ----------
    messages
        Those of other channels are left out.
    channel
        ``task:routing``, ``agent:status`` or ``replay:progress``.

    Returns
    -------
    DataFrame
        Columns id, time (UTC), and of decisions task_id, agent, d_var and reason; of
        statuses agent, status and load (0 to 1); of replays title, at, end, speed and lag
        (see :class:`routingsim.messages.ReplayProgress`).
    """
    import pandas as pd  # takes half a second, which the bridge's process has no need of

    kept = [message for message in messages if channel_of(message.payload) == channel]
    payloads: list[Any] = [message.payload for message in kept]
    times = pd.to_datetime([p.timestamp for p in payloads], unit="ms", utc=True)
    columns: dict[str, Any] = {
        "id": pd.Series([message.id for message in kept], dtype="str"),
        "time": pd.Series(times, dtype="datetime64[ms, UTC]"),
    }
    if channel == DECISIONS:
        columns |= {
            "task_id": pd.Series([p.task_id for p in payloads], dtype="str"),
            "agent": pd.Series([p.agent.id for p in payloads], dtype="str"),
            "d_var": pd.Series([p.complexity_score.d_var for p in payloads], dtype="float64"),
            "reason": pd.Series([p.reason for p in payloads], dtype="str"),
        }
    elif channel == STATUSES:
        columns |= {
            "agent": pd.Series([p.agent_id for p in payloads], dtype="str"),
            "status": pd.Series([p.status for p in payloads], dtype="str"),
            "load": pd.Series([p.load for p in payloads], dtype="float64"),
        }
    else:
        columns["title"] = pd.Series([p.title for p in payloads], dtype="str")
        for name in ("at", "end", "speed", "lag"):
            columns[name] = pd.Series([getattr(p, name) for p in payloads], dtype="float64")
    return pd.DataFrame(columns)


def _place(id: str) -> MessageId:
    """Where a message stands; the beginning, if its id is none of ours."""
    try:
        return parse_id(id)
    except ValueError:
        return (0, 0)


def _cannot(url: str, trouble: Exception | None) -> str:
    if isinstance(trouble, InvalidStatus):
        status = trouble.response.status_code
        hint = {401: "a token is wanted: Listener(url, token=…)"}.get(status, "see its log")
        return f"the bridge at {url} refuses us with HTTP status {status}; {hint}"
    if isinstance(trouble, ConnectionClosed):
        return f"the bridge at {url} closed the connection: {trouble}; is a token wanted?"
    if isinstance(trouble, ProtocolError):
        return f"the bridge at {url} refuses to be listened to: {trouble}"
    if isinstance(trouble, InvalidURI):
        return f"{url!r} is not a WebSocket URL; allowed is ws://host:port or wss://host:port"
    return f"no bridge at {url}: {trouble}. Start one: LiveStack(), or `routingsim serve`"
