"""Server-Sent Events: the bridge's frames for clients that a proxy keeps from WebSocket.

One connection to Redis serves all of them, by the bridge's own parts, so that a client that comes
back with ``Last-Event-ID`` gets what it missed, or a gap notice. By the same connection the API
learns the ids of the messages that it publishes itself.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import msgspec

from routingsim.live.bridge.fanout import Fanout
from routingsim.live.bridge.protocol import CHANNELS, Limits, Subscribe, subscribed
from routingsim.live.bridge.send_queue import SendQueue
from routingsim.live.bridge.subscriber import Subscriber
from routingsim.messages import DECISIONS

PING_SECONDS = 15.0
"""Time without a message after which a comment is sent, so that proxies keep the connection."""
RETRY = b"retry: 2000\n\n"
"""Milliseconds after which a browser comes back."""
ID_SECONDS = 1.0
"""Time to wait for the id of a message."""
WRITE_LIMIT = 64 * 2**10
"""Bytes of a client after which others wait in its send queue."""


class _Payload(msgspec.Struct):
    task: str = msgspec.field(default="", name="taskId")


class _Decision(msgspec.Struct):
    payload: _Payload = msgspec.field(default_factory=_Payload)
    id: str = ""


class _Envelope(msgspec.Struct):
    id: str = ""


_decision = msgspec.json.Decoder(_Decision).decode
_envelope = msgspec.json.Decoder(_Envelope).decode


class _Frames:
    """Takes the frames of a send queue, as a transport does, and gives them one by one."""

    def __init__(self) -> None:
        self.queue: SendQueue
        self.ended = False
        self._data = bytearray()
        self._changed = asyncio.Event()

    def write(self, data: bytes) -> None:
        self._data += data
        self._changed.set()
        if len(self._data) > WRITE_LIMIT:
            self.queue.pause()

    def get_write_buffer_size(self) -> int:
        return len(self._data)

    def end(self) -> None:
        """End, after what has been written."""
        self.ended = True
        self._changed.set()

    async def next(self, seconds: float | None = None) -> list[bytes]:
        """The texts written since, none after some seconds without."""
        if not self._data and not self.ended:
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
        data, self._data = bytes(self._data), bytearray()
        texts = []
        at = 0
        while at < len(data):  # as `text_frame` writes them
            wide = {126: 2, 127: 8}.get(data[at + 1], 0)
            begin = at + 2 + wide
            size = int.from_bytes(data[at + 2 : begin], "big") if wide else data[at + 1]
            at = begin + size
            texts.append(data[begin:at])
        self.queue.resume()
        return texts


class Events:
    """What clients of the API receive, and the ids of its own messages.

    Parameters
    ----------
    redis_url
        As in ``REDIS_URL``.
    limits
        As for the bridge; its limit on connections counts the clients here, too.
    """

    def __init__(self, redis_url: str, limits: Limits) -> None:
        self.limits = limits
        self._clients: dict[SendQueue, _Frames] = {}
        self._fanout = Fanout(
            limits,
            schedule=lambda flush: asyncio.get_running_loop().call_soon(flush),
            resync=lambda channel: self._subscriber.resync(channel),
            evict=self._evict,
        )
        self._subscriber = Subscriber(redis_url, CHANNELS, limits.history_messages, self._fanout)
        self._wanted: dict[str, asyncio.Future[str]] = {}

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Receive for as long as the block lasts; at its end all streams end."""
        tasks = [asyncio.create_task(self._subscriber.run()), asyncio.create_task(self._learn())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.end()

    def end(self) -> None:
        """End all streams; their clients come back."""
        for frames in self._clients.values():
            frames.end()

    @property
    def has_room(self) -> bool:
        """Whether one more client is allowed."""
        return len(self._clients) < self.limits.connections

    async def stream(self, request: Subscribe) -> AsyncIterator[bytes]:
        """The events for one client, until it goes, is too slow or the server stops."""
        frames = self._add()
        self._fanout.subscribe(frames.queue, request)
        try:
            yield RETRY
            while True:
                texts = await frames.next(PING_SECONDS)
                if texts:
                    yield b"".join(map(event, texts))
                elif frames.ended:
                    return
                else:
                    yield b": ping\n\n"
        finally:
            self._remove(frames)

    async def id_of(self, task: str) -> str | None:
        """The id of the message about a task, published just now; None where Redis is away."""
        if not self._fanout.up:
            return None
        found = self._wanted.setdefault(task, asyncio.get_running_loop().create_future())
        try:
            async with asyncio.timeout(ID_SECONDS):
                return await found
        except TimeoutError:
            return None
        finally:
            self._wanted.pop(task, None)

    async def _learn(self) -> None:
        frames = self._add()
        request = Subscribe(DECISIONS, None, None, subscribed(DECISIONS))
        self._fanout.subscribe(frames.queue, request)
        while not frames.ended:
            for text in await frames.next():
                if self._wanted:
                    with contextlib.suppress(msgspec.MsgspecError):  # of another program
                        message = _decision(text)
                        found = self._wanted.get(message.payload.task)
                        if found is not None and not found.done() and message.id:
                            found.set_result(message.id)

    def _add(self) -> _Frames:
        frames = _Frames()
        frames.queue = SendQueue(frames, self.limits, "disconnect")  # pyright: ignore
        self._clients[frames.queue] = frames
        self._fanout.add(frames.queue)
        return frames

    def _evict(self, queue: SendQueue) -> None:
        """End the stream of a client that is too slow; it may come back."""
        self._fanout.remove(queue)
        self._clients[queue].end()

    def _remove(self, frames: _Frames) -> None:
        self._fanout.remove(frames.queue)
        self._clients.pop(frames.queue, None)


def event(text: bytes) -> bytes:
    """A frame as an event, whose id is the message's.

    >>> event(b'{"type":"agent_status","payload":{},"id":"1699564800000-0"}').decode()
    'id: 1699564800000-0\\ndata: {"type":"agent_status","payload":{},"id":"1699564800000-0"}\\n\\n'
    """
    try:
        id = _envelope(text).id
    except msgspec.MsgspecError:
        id = ""
    lines = text.replace(b"\r", b" ").split(b"\n")  # JSON has line breaks between its parts only
    head = f"id: {id}\n".encode() if id.isprintable() and id else b""
    return head + b"".join(b"data: %b\n" % line for line in lines) + b"\n"
