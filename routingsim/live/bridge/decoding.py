"""What the bridge must know of the messages from Redis, read by the hundred.

Messages come in bursts. What can be done for all of a burst at once is: to check the
encoding, to read the ids, and to look for anything odd. Only where something is odd is
each message looked at on its own.
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

__all__ = ["read_messages"]


class _Envelope(msgspec.Struct, gc=False):
    id: Any = None


class _Agent(msgspec.Struct):
    agent: str = msgspec.field(name="agentId")


class _Status(msgspec.Struct):
    payload: _Agent


_envelope = msgspec.json.Decoder(_Envelope).decode
_status = msgspec.json.Decoder(_Status).decode

_plain_ids = re.compile(r"(?:[1-9]\d{0,17}-(?:0|[1-9]\d{0,17})\n)+", re.ASCII).fullmatch
"""Ids as a server writes them, a line each, of numbers that are JSON too."""

_pairs = msgspec.json.Decoder(list[MessageId]).decode

_ODD = (UnicodeDecodeError, msgspec.MsgspecError, RecursionError)


def read_messages(channel: str, data: Sequence[bytes]) -> tuple[list[Message], list[Exception]]:
    """The messages with their frames, in order, and what is wrong with those left out.

    Any JSON object will do: others may publish too, and their messages pass as
    they are. Only an ``id`` as the publisher writes it takes part in resuming. What is
    not a JSON object in UTF-8 is left out, since it would break browsers.
    """
    try:
        return _read(channel, data), []
    except _ODD:
        messages: list[Message] = []
        problems: list[Exception] = []
        for each in data:
            try:
                messages += _read(channel, [each])
            except _ODD as problem:
                problems.append(problem)
        return messages, problems


def _read(channel: str, data: Sequence[bytes]) -> list[Message]:
    # Between lines no character of several bytes can begin or go on.
    str(b"\n".join(data), "utf-8")
    places = _places([_envelope(each).id for each in data])
    subjects = map(_subject, data) if channel == STATUSES else repeat(None)
    return list(map(Message, places, map(text_frame, data), subjects))


def _subject(data: bytes) -> str | None:
    try:
        return _status(data).payload.agent
    except msgspec.ValidationError:
        return None


def _places(given: list[Any]) -> Sequence[MessageId | None]:
    """Messages' places by their ids; None for what is no id.

    The JSON decoder turns many digits into numbers five times faster than ``int`` does.
    """
    try:
        lines = "\n".join([*given, ""])
    except TypeError:  # not all of them are text
        return [_place(each) for each in given]
    if lines.count("\n") == len(given) and _plain_ids(lines):
        return _pairs(f"[[{lines[:-1].replace('-', ',').replace(chr(10), '],[')}]]")
    return [_place(each) for each in given]


def _place(given: Any) -> MessageId | None:
    try:
        return parse_id(given)
    except (TypeError, ValueError):
        return None
