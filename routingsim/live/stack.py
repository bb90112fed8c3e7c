"""LiveStack: broker, bridge, HTTP API and publisher, for a notebook or a program."""

import contextlib
import html
import pickle
import threading
import weakref
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, cast

import msgspec
from redis.exceptions import RedisError

from routingsim.errors import BrokerError, RoutingSimError
from routingsim.live.addresses import Addresses, Public, public_addresses
from routingsim.live.bridge.protocol import CHANNELS
from routingsim.live.broker import connect
from routingsim.live.client import Listener, to_frame
from routingsim.live.feed import Feed
from routingsim.live.publisher.redis import RedisPublisher
from routingsim.live.redis_schema import FIELD, history_key, with_id
from routingsim.live.serve import Plan
from routingsim.live.settings import Settings, load_settings
from routingsim.live.worker import Background, InProcess, InThread
from routingsim.messages import DECISIONS, STATUSES, decode

if TYPE_CHECKING:
    import pandas as pd

    from routingsim.agents import AgentPool

__all__ = ["LiveStack"]

_running: "weakref.WeakValueDictionary[bytes, Background]" = weakref.WeakValueDictionary()
_starting = threading.Lock()


class LiveStack:
    """All of the live side in the background, for as long as the ``with`` block lasts.

    Broker, bridge and HTTP API run in a process of their own, so that a busy cell does not
    hold them up; it ends with this one, however that ends. The publisher is in this process.
    Outside of a ``with`` block use :meth:`start` and :meth:`stop`.

    Starting one that runs is harmless. So is a second one with the same settings, such as
    when a cell is run again: it joins what the first has started, which ends when ``stop`` is
    called on either, or with the first one's ``with`` block.

    Parameters
    ----------
    settings
        By default those of the environment and ``.env.local``.
    run_in
        A process of its own, or a thread of this one.
    http
        Whether to run the HTTP API and the dashboard, which takes two seconds longer to
        start.
    port, http_port
        Ports of the bridge and the API, 0 for any free one. By default those of the settings,
        or any free one where those are taken.
    pool, policy
        What the API routes by; see :class:`routingsim.routing.TaskRouter`.

    Raises
    ------
    BrokerError
        At the start, if there is no Redis server, or a port asked for is taken; the message
        names who holds it.

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
        run_in: Literal["process", "thread"] = "process",
        http: bool = True,
        port: int | None = None,
        http_port: int | None = None,
        pool: "AgentPool | None" = None,
        policy: str = "threshold",
    ) -> None:
        if run_in not in ("process", "thread"):
            raise ValueError(f"run_in must be 'process' or 'thread', not {run_in!r}")
        settings = load_settings() if settings is None else settings
        ports = {"websocket_port": port, "http_port": http_port}
        given = {name: number for name, number in ports.items() if number is not None}
        self._plan = Plan(
            msgspec.structs.replace(settings, **given),
            None if http else "bridge",
            elsewhere=(port is None, http_port is None),
            routing=pickle.dumps((pool, policy)),
        )
        self._run_in = run_in
        self._background: Background | None = None
        self._publisher: RedisPublisher | None = None
        self._joined = False
        self._since: dict[str, str] = {}

    # Life

    def start(self) -> Self:
        """Start, unless it runs; returns when all is ready."""
        with _starting:
            if self.is_running:
                return self
            if self._publisher is not None:
                self._publisher.disconnect(0.0)  # what it belonged to has died
            key = self._run_in.encode() + msgspec.json.encode(self._plan)
            background = _running.get(key)
            self._joined = background is not None and background.alive
            if background is None or not background.alive:
                background = (InProcess if self._run_in == "process" else InThread)(self._plan)
                settings = self._plan.settings
                if settings.websocket_port and (settings.http_port or self._plan.only):
                    _running[key] = background
            self._background = background
            url = background.addresses.private
            self._publisher = RedisPublisher(url, history=self._plan.settings.history)
            try:
                self._since = self._ends(url)
            except BaseException:  # an interrupted cell, too
                self.stop(timeout=0.0)
                raise
        return self

    def stop(self, timeout: float = 5.0) -> None:
        """Send what is left, for at most ``timeout`` seconds, and stop all; harmless twice."""
        if self._publisher is not None:
            self._publisher.disconnect(timeout if self.is_running else 0.0)
        if self._background is not None:
            self._background.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._joined:
            self.publisher.disconnect()
            self._background = None
        else:
            self.stop()

    @property
    def is_running(self) -> bool:
        """Whether it has been started, and not stopped or died since."""
        return self._background is not None and self._background.alive

    # Addresses

    @property
    def publisher(self) -> RedisPublisher:
        """Publishes to this stack; for :class:`routingsim.routing.TaskRouter`."""
        if self._publisher is None:
            raise self._not_started()
        return self._publisher

    @property
    def url(self) -> str:
        """Of the bridge, such as ``ws://127.0.0.1:3001``."""
        return cast(str, self._addresses.bridge)

    @property
    def http_url(self) -> str | None:
        """Of the HTTP API and the dashboard; None without."""
        return self._addresses.api

    @property
    def redis_url(self) -> str:
        """Of the Redis server, with its password."""
        return self._addresses.redis

    @property
    def public(self) -> Public:
        """Where a browser finds the bridge and the API, which may be behind a proxy."""
        return public_addresses(self._plan.settings, self.url, self.http_url)

    @property
    def _addresses(self) -> Addresses:
        if self._background is None:
            raise self._not_started()
        return self._background.addresses

    def _ends(self, url: str) -> dict[str, str]:
        """Id of the last message on each channel, ``"0"`` if there is none."""
        try:
            return {channel: _last(url, channel) for channel in CHANNELS}
        except BrokerError:
            if self._plan.settings.configured:
                raise
            # Our own server has died as early as that; all else goes on as if it did later.
            return dict.fromkeys(CHANNELS, "0")

    def _not_started(self) -> BrokerError:
        return BrokerError("the live stack has not been started; call start() or use `with`")

    # What passed

    def messages(
        self, n: int | None = None, *, since: str | None = None, channel: str = DECISIONS
    ) -> "pd.DataFrame":
        """What passed, a row a message, oldest first; read from the history in Redis.

        What this stack's publisher has been given goes out first.

        Parameters
        ----------
        n
            Only the last so many.
        since
            Message id after which to begin, ``"0"`` for all that is kept. By default what
            came since the start.
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
        """A :class:`~routingsim.live.client.Listener` to all since the start.

        Parameters
        ----------
        options
            Keyword arguments of the listener.
        """
        options = {"since": self._since, "token": self._plan.settings.token} | options
        return Listener(self.url, **options)

    def feed(self, rows: int = 20) -> Feed:
        """A table of the last decisions to display, which goes on by itself.

        Parameters
        ----------
        rows
            Decisions to show.
        """
        decisions = [m.payload for m in self._history(rows, None, DECISIONS)]
        latest = {m.payload.agent_id: m.payload for m in self._history(None, None, STATUSES)}
        return Feed(
            url=cast(str, self.public.bridge),
            decisions=tuple(reversed(decisions)),
            statuses=tuple(sorted(latest.values(), key=lambda status: status.name)),
            rows=rows,
            locked=self._plan.settings.token is not None,
        )

    def _history(self, n: int | None, since: str | None, channel: str) -> list[Any]:
        if channel not in CHANNELS:
            raise RoutingSimError(f"channel={channel!r}: choose one of {', '.join(CHANNELS)}")
        self.publisher.flush(1.0)
        after = self._since[channel] if since is None else since
        entries = _entries(self._addresses.private, channel, min=f"({after}", count=n)
        return [decode(with_id(fields[FIELD], place)) for place, fields in reversed(entries)]

    # Showing

    def __repr__(self) -> str:
        if self._background is None:
            return "<LiveStack: not started>"
        if not self.is_running:
            return "<LiveStack: stopped>"
        place = "its own process" if self._run_in == "process" else "a thread"
        http = f", {self.http_url}" if self.http_url else ""
        return f"<LiveStack: {self.url}{http}, in {place}>"

    def _repr_html_(self) -> str:
        if self._background is None or not self.is_running:
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
