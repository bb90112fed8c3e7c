"""Decodes messages from Redis as far as the bridge needs, many at a time.

Messages arrive in bursts. The encoding and the ids of a burst are checked together;
only if that check fails is each message decoded on its own.
"""

import re
from collections.abc import Sequence
from itertools import repeat
from typing import Any

import msgspec

from routingsim.live.bridge.protocol import MessageId, parse_id
from routingsim.live.bridge.replay_buffer import Message
from routingsim.live.bridge.send_queue import text_frame
from routingsim.messages import STATUSES


class _Envelope(msgspec.Struct, gc=False):
    id: Any = None


class _Agent(msgspec.Struct):
    agent: str = msgspec.field(name="agentId")


class _Status(msgspec.Struct):
    payload: _Agent


_envelope = msgspec.json.Decoder(_Envelope).decode
_status = msgspec.json.Decoder(_Status).decode

_plain_ids = re.compile(r"(?:[1-9]\d{0,17}-(?:0|[1-9]\d{0,17})\n)+", re.ASCII).fullmatch
"""Ids as Redis writes them, one per line, whose numbers are valid JSON numbers."""

_pairs = msgspec.json.Decoder(list[MessageId]).decode

_INVALID = (UnicodeDecodeError, msgspec.MsgspecError, RecursionError)


def read_messages(channel: str, data: Sequence[bytes]) -> tuple[list[Message], list[Exception]]:
    """Messages with their frames, in order, and an error for each message left out.

    Any JSON object is a message: other programs may publish too, and their messages are
    passed on unchanged. Only an ``id`` as the publisher writes it can be resumed from.
    Data that is not a JSON object in UTF-8 is left out, since it would break browsers.
    """
    try:
        return _read(channel, data), []
    except _INVALID:
        messages: list[Message] = []
        problems: list[Exception] = []
        for each in data:
            try:
                messages += _read(channel, [each])
            except _INVALID as problem:
                problems.append(problem)
        return messages, problems


def _read(channel: str, data: Sequence[bytes]) -> list[Message]:
    # A multi-byte character cannot extend over a line break.
    str(b"\n".join(data), "utf-8")
    ids = _message_ids([_envelope(each).id for each in data])
    subjects = map(_subject, data) if channel == STATUSES else repeat(None)
    return list(map(Message, ids, map(text_frame, data), subjects))


def _subject(data: bytes) -> str | None:
    try:
        return _status(data).payload.agent
    except msgspec.ValidationError:
        return None


def _message_ids(given: list[Any]) -> Sequence[MessageId | None]:
    """Parsed ids; None for anything that is not an id.

    The JSON decoder converts long runs of digits five times faster than ``int``.
    """
    try:
        lines = "\n".join([*given, ""])
    except TypeError:  # not all are strings
        return [_message_id(each) for each in given]
    if lines.count("\n") == len(given) and _plain_ids(lines):
        return _pairs(f"[[{lines[:-1].replace('-', ',').replace(chr(10), '],[')}]]")
    return [_message_id(each) for each in given]


def _message_id(given: Any) -> MessageId | None:
    try:
        return parse_id(given)
    except (TypeError, ValueError):
        return None
