"""A client's connection: that of websockets, with a send queue and a protocol session."""

from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame
from websockets.protocol import CONNECTING, OPEN, Event

from routingsim.live.bridge.metrics import ClientLag
from routingsim.live.bridge.protocol import Session
from routingsim.live.bridge.send_queue import SendQueue, SlowPolicy


class Connection(ServerConnection):
    """A connection that never waits for its client.

    ``send`` of websockets waits until the transport has room, and ``close`` until
    the client has answered: forever, if the client does not read. Messages
    therefore go through a :class:`SendQueue`, and :meth:`begin_close` sets a deadline.
    """

    def __init__(
        self,
        bridge: Any,  # a Bridge, whose module imports this one
        session: Session,
        number: int,
        slow: SlowPolicy,
        *args: Any,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.number = number
        self.address = "?"
        self.session = session
        self.queue: SendQueue
        self._bridge = bridge
        self._slow: SlowPolicy = slow
        self._closing = False
        self._progress: tuple[int, int] = (0, 0)
        self._progressed = self.loop.time()

    def lag(self) -> ClientLag:
        """How far this client is behind."""
        return ClientLag(self.number, self.address, self.queue.lag_messages, self.queue.lag_bytes)

    def begin_close(self, code: int, reason: str, *, read: bool = True) -> None:
        """Send a close frame, and abort the connection if no answer comes in time.

        Queued messages are discarded. With ``read`` false, further frames from the
        client are ignored.
        """
        if self._closing:
            return
        self._closing = True
        if self.protocol.state is not OPEN:
            self.transport.abort()
            return
        if read:
            self.protocol.send_close(code, reason)
        else:
            self.protocol.fail(code, reason)
        self.send_data()
        self.loop.call_later(self._bridge.limits.close_seconds, self.transport.abort)

    def stalled_seconds(self, now: float) -> float:
        """Seconds for which data has waited and the client has read nothing."""
        progress = self.queue.delivered, self.transport.get_write_buffer_size()
        if progress != self._progress or self.queue.lag_bytes == 0:
            self._progress, self._progressed = progress, now
        return now - self._progressed

    # Called by asyncio and websockets

    def connection_made(self, transport: Any) -> None:
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else "?"
        self.queue = SendQueue(transport, self._bridge.limits, self._slow)
        super().connection_made(transport)
        self._bridge.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._bridge.closed(self)

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
        # Counts pings too, and counts a frame before it is queued.
        if isinstance(event, Frame):
            if self._closing:
                return
            close = self.session.admit(self.loop.time())
            if close is not None:
                self._bridge.violated(self, close)
                return
        super().process_event(event)
