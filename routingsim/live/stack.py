"""LiveStack: broker, bridge, HTTP API and publisher, for a notebook or a program."""

import contextlib
import html
import logging
import pickle
import threading
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, cast

import msgspec
from redis.exceptions import RedisError

from routingsim.errors import BrokerError, ProtocolError, RoutingSimError
from routingsim.live.addresses import Addresses, Public, public_addresses
from routingsim.live.bridge.protocol import CHANNELS
from routingsim.live.broker import connect
from routingsim.live.client import Listener, to_frame
from routingsim.live.feed import Feed
from routingsim.live.publisher.redis import RedisPublisher
from routingsim.live.redis_schema import FIELD, history_key, with_id
from routingsim.live.serve import Plan
from routingsim.live.settings import Settings, load_settings
from routingsim.live.worker import Worker
from routingsim.messages import DECISIONS, STATUSES, Message, channel_of, decode
from routingsim.synonyms import argument_hints

if TYPE_CHECKING:
    import pandas as pd

    from routingsim.agents import AgentPool

log = logging.getLogger(__name__)

NOT_STARTED = "the live stack has not been started; call start() or use `with`"


@dataclass(eq=False)
class _Parts:
    """What runs, shared by all stacks that joined; ``since`` is the last id before its start."""

    worker: Worker
    publisher: RedisPublisher
    since: dict[str, str] = field(default_factory=dict)


_running: "weakref.WeakValueDictionary[bytes, _Parts]" = weakref.WeakValueDictionary()
_starting = threading.Lock()


@argument_hints
class LiveStack:
    """Broker, bridge, HTTP API and a publisher, for as long as the ``with`` block lasts.

    Broker, bridge and HTTP API run in a process of their own, so that a busy cell does not
    delay them; it ends with this process, even if that is killed. The publisher is in this
    process. Outside of a ``with`` block, use :meth:`start` and :meth:`stop`.

    :meth:`start` does nothing while it runs. A second stack with the same settings, as when a
    cell is run again, joins the first as soon as it is made: it uses its process and shows its
    messages, and both have one publisher. The process ends when either is stopped, the first
    one's ``with`` block ends, or no name refers to either.

    Parameters
    ----------
    settings
        By default those of the environment and ``.env.local``.
    http
        Whether to run the HTTP API and the dashboard; they take two seconds to start.
    port, http_port
        Ports of the bridge and the API, 0 for any free one. By default those of the settings,
        or any free one where those are taken.
    pool, policy
        Of the API's router; see :class:`routingsim.routing.TaskRouter`.

    Raises
    ------
    RoutingSimError
        If ``settings`` are not settings, or one of them has a value that is not allowed.
    BrokerError
        At the start, if there is no Redis server, or ``port`` or ``http_port`` is taken; the
        message names the process that has it.

    Examples
    --------
    >>> with LiveStack(Settings(), http=False, port=0) as live:  # doctest: +ELLIPSIS
    ...     live.url
    'ws://127.0.0.1:...'
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        http: bool = True,
        port: int | None = None,
        http_port: int | None = None,
        pool: "AgentPool | None" = None,
        policy: str = "threshold",
    ) -> None:
        settings = load_settings() if settings is None else settings
        if not isinstance(settings, Settings):
            raise RoutingSimError(
                f"LiveStack(settings={settings!r}): give Settings(...), or nothing to read the "
                "environment and .env.local"
            )
        self._plan = Plan(
            msgspec.structs.replace(
                settings,
                websocket_port=settings.websocket_port if port is None else port,
                http_port=settings.http_port if http_port is None else http_port,
            ),
            None if http else "bridge",
            any_port=(port is None, http_port is None),
            routing=pickle.dumps((pool, policy)),
        )
        try:
            msgspec.json.decode(msgspec.json.encode(self._plan), type=Plan)  # as the worker does
        except msgspec.ValidationError as error:
            raise RoutingSimError(f"LiveStack: a setting has a wrong value: {error}") from None
        self._key = msgspec.json.encode(self._plan)
        self._parts: _Parts | None = None
        self._joined = False
        # A cell that is run again replaces the name of the running stack by this one, which would
        # stop it before `start` could join it.
        running = _running.get(self._key)
        if running is not None and running.worker.alive:
            self.start()

    # Life

    def start(self) -> Self:
        """Start, unless it runs; returns when every part is ready."""
        with _starting:
            if self.is_running:
                return self
            if self._parts is not None:
                self._parts.publisher.disconnect(0.0)  # its server has died
            settings = self._plan.settings
            parts = _running.get(self._key)
            self._joined = parts is not None and parts.worker.alive
            if parts is None or not parts.worker.alive:
                worker = Worker(self._plan)
                url = worker.addresses.private
                parts = _Parts(
                    worker,
                    RedisPublisher(url, history=settings.history, buffer=settings.buffer),
                )
                if settings.websocket_port and (settings.http_port or self._plan.only):
                    _running[self._key] = parts
            self._parts = parts
            try:
                if not self._joined:
                    parts.since = self._last_ids(parts.worker.addresses.private)
            except BaseException:  # an interrupt, too
                self.stop(timeout=0.0)
                raise
        return self

    def stop(self, timeout: float = 5.0) -> None:
        """Send what is left, for at most ``timeout`` seconds, and stop every part.

        Does nothing when they are stopped.
        """
        if self._parts is not None:
            self._parts.publisher.disconnect(timeout if self.is_running else 0.0)
            self._parts.worker.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self._joined and self._parts is not None:
            self._parts.publisher.flush(5.0)
            self._parts = None
        else:
            self.stop()

    @property
    def is_running(self) -> bool:
        """Whether it has been started, and has not been stopped or died since."""
        return self._parts is not None and self._parts.worker.alive

    # Addresses

    @property
    def publisher(self) -> RedisPublisher:
        """The publisher to give to a :class:`routingsim.routing.TaskRouter`."""
        return self._started.publisher

    @property
    def url(self) -> str:
        """URL of the bridge, such as ``ws://127.0.0.1:3001``."""
        return cast(str, self._addresses.bridge)

    @property
    def http_url(self) -> str | None:
        """URL of the HTTP API and the dashboard; None without them."""
        return self._addresses.api

    @property
    def redis_url(self) -> str:
        """URL of the Redis server, with its password."""
        return self._addresses.redis

    @property
    def public(self) -> Public:
        """Where a browser finds the bridge and the API, which may be behind a proxy."""
        return public_addresses(self._plan.settings, self.url, self.http_url)

    @property
    def _started(self) -> "_Parts":
        if self._parts is None:
            raise BrokerError(NOT_STARTED)
        return self._parts

    @property
    def _addresses(self) -> Addresses:
        return self._started.worker.addresses

    def _last_ids(self, url: str) -> dict[str, str]:
        """Id of the last message on each channel, ``"0"`` if there is none."""
        try:
            return {channel: _last(url, channel) for channel in CHANNELS}
        except BrokerError:
            if self._plan.settings.configured:
                raise
            # The embedded server has died already; the publisher logs that, as it does later.
            return dict.fromkeys(CHANNELS, "0")

    # Messages

    def messages(
        self, n: int | None = None, *, since: str | None = None, channel: str = DECISIONS
    ) -> "pd.DataFrame":
        """A table of the messages in Redis's history, oldest first.

        Messages that wait in this stack's publisher are sent first.

        Parameters
        ----------
        n
            Number of entries to read, the last ones; by default all. Those of other programs
            are left out, with a warning in the log that counts them.
        since
            Message id after which to begin, ``"0"`` for all that is kept. By default the
            last id before the start.
        channel
            ``task:routing``, ``agent:status`` or ``replay:progress``.

        Returns
        -------
        DataFrame
            See :func:`routingsim.live.client.to_frame`.

        Raises
        ------
        BrokerError
            If the Redis server does not answer.
        """
        return to_frame(self._history(n, since, channel), channel)

    def listen(self, **options: Any) -> Listener:
        """A :class:`~routingsim.live.client.Listener` to every message since the start.

        Parameters
        ----------
        options
            Keyword arguments of the listener.
        """
        options = {
            "since": self._started.since,
            "token": self._plan.settings.token,
        } | options
        return Listener(self.url, **options)

    def feed(self, rows: int = 20) -> Feed:
        """A table of the last decisions for a notebook, which the browser keeps up to date.

        Parameters
        ----------
        rows
            Decisions to show.
        """
        decisions = [cast(Any, m.payload) for m in self._history(rows, None, DECISIONS)]
        statuses = [cast(Any, m.payload) for m in self._history(None, None, STATUSES)]
        latest = {status.agent_id: status for status in statuses}
        return Feed(
            url=cast(str, self.public.bridge),
            decisions=tuple(reversed(decisions)),
            statuses=tuple(sorted(latest.values(), key=lambda status: status.name)),
            rows=rows,
            locked=self._plan.settings.token is not None,
        )

    def _history(self, n: int | None, since: str | None, channel: str) -> list[Message]:
        if channel not in CHANNELS:
            raise RoutingSimError(f"channel={channel!r}: choose one of {', '.join(CHANNELS)}")
        self.publisher.flush(1.0)
        after = self._started.since[channel] if since is None else since
        entries = _entries(self._addresses.private, channel, min=f"({after}", count=n)
        messages: list[Message] = []
        for place, fields in reversed(entries):
            with contextlib.suppress(ProtocolError):
                message = decode(with_id(fields.get(FIELD, b""), place))
                if channel_of(message.payload) == channel:
                    messages.append(message)
        if foreign := len(entries) - len(messages):
            log.warning(
                "%d of %d entries in the history of %s are of other programs, and left out",
                *(foreign, len(entries), channel),
            )
        return messages

    # Display

    def __repr__(self) -> str:
        if self._parts is None:
            return "<LiveStack: not started>"
        if not self.is_running:
            return "<LiveStack: stopped>"
        http = f", {self.http_url}" if self.http_url else ""
        return f"<LiveStack: {self.url}{http}>"

    def _repr_html_(self) -> str:
        if not self.is_running:
            return html.escape(repr(self))
        public, stats = self.public, self.publisher.stats()
        rows = [("WebSocket", f"<code>{html.escape(public.bridge or '')}</code>")]
        if public.api:
            link = html.escape(public.api)
            rows.append(("Dashboard", f'<a href="{link}" target="_blank">{link}</a>'))
        rows.append(("Redis", html.escape(self._addresses.broker)))
        rows.append(("Published", f"{stats.published:,} messages"))
        if lost := stats.dropped + stats.undelivered:
            rows.append(("Lost", f"{lost:,} messages"))
        cells = "".join(
            f'<tr><th style="text-align:left">{name}</th>'
            f'<td style="text-align:left">{value}</td></tr>'
            for name, value in rows
        )
        return f"<table><caption>LiveStack, running</caption>{cells}</table>"


def _last(redis_url: str, channel: str) -> str:
    """Id of the last message on a channel, ``"0"`` if there is none."""
    entries = _entries(redis_url, channel, count=1)
    return entries[0][0].decode() if entries else "0"


def _entries(redis_url: str, channel: str, **which: Any) -> list[Any]:
    """Entries of a channel's history, newest first."""
    try:
        with contextlib.closing(connect(redis_url)) as client:
            return cast(list[Any], client.xrevrange(history_key(channel), **which))
    except (RedisError, OSError) as error:
        raise BrokerError(f"the history of {channel} cannot be read: {error}") from error
