"""One client's connection: websockets' own, with an queue and a session."""

from typing import Any, Protocol

from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame
from websockets.protocol import CONNECTING, OPEN, Event

from routingsim.live.bridge.metrics import ClientLag
from routingsim.live.bridge.protocol import Close, Limits, Session
from routingsim.live.bridge.send_queue import SendQueue, SlowPolicy

__all__ = ["Connection", "Owner"]


class Owner(Protocol):
    """What a connection needs of its bridge."""

    limits: Limits

    def opened(self, connection: "Connection") -> None: ...

    def closed(self, connection: "Connection") -> None: ...

    def abused(self, connection: "Connection", close: Close) -> None: ...

    def new_session(self) -> Session: ...


class Connection(ServerConnection):
    """A connection that never waits for its client.

    websockets' ``send`` waits until the transport has room and its ``close``
    until the client has answered, both for ever if the client does not read. So
    messages go through an :class:`SendQueue`, and :meth:`part` sets a deadline.
    """

    def __init__(self, owner: Owner, number: int, slow: SlowPolicy, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self.number = number
        self.address = "?"
        self.session = owner.new_session()
        self.queue: SendQueue
        self._owner = owner
        self._slow: SlowPolicy = slow
        self._parting = False
        self._progress: tuple[int, int] = (0, 0)
        self._progressed = self.loop.time()

    def lag(self) -> ClientLag:
        """How far this client is behind."""
        queue = self.queue
        return ClientLag(self.number, self.address, queue.lag_messages, queue.lag_bytes)

    def part(self, code: int, reason: str, *, heed: bool = True) -> None:
        """Say goodbye, and cut the connection if the client has not answered in time.

        Messages that wait are forgotten: their client is the one who cannot
        take them. With ``heed`` false nothing it still sends is looked at.
        """
        if self._parting:
            return
        self._parting = True
        if self.protocol.state is not OPEN:
            self.transport.abort()
            return
        if heed:
            self.protocol.send_close(code, reason)
        else:
            self.protocol.fail(code, reason)
        self.send_data()
        self.loop.call_later(self._owner.limits.close_seconds, self.transport.abort)

    def stalled(self, now: float) -> float:
        """Seconds for which the client has taken nothing although something waits."""
        progress = self.queue.progress
        if progress != self._progress or self.queue.lag_bytes == 0:
            self._progress, self._progressed = progress, now
        return now - self._progressed

    # Called by asyncio and websockets

    def connection_made(self, transport: Any) -> None:
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else "?"
        self.queue = SendQueue(transport, self._owner.limits, self._slow)
        super().connection_made(transport)
        self._owner.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._owner.closed(self)

    def send_data(self) -> None:
        super().send_data()
        if self.protocol.state is not OPEN and self.protocol.state is not CONNECTING:
            self.queue.close()  # nothing may follow a close frame

    def pause_writing(self) -> None:
        super().pause_writing()
        self.queue.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.queue.resume()

    def process_event(self, event: Event) -> None:
        # Pings count too, and are counted before anything queues up.
        if isinstance(event, Frame):
            if self._parting:
                return
            close = self.session.admit(self.loop.time())
            if close is not None:
                self._owner.abused(self, close)
                return
        super().process_event(event)
