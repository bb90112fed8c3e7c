"""Chat messages where a task's text is expected: the task is what the user said last."""

import ast
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pyarrow as pa

from routingsim.corpora.rows import TextColumn, any_match

_OPENINGS = ("[", "{")


def last_user_messages(values: Sequence[Any], label: str) -> tuple[Sequence[Any], str]:
    """The column with the last user message in place of each list of chat messages.

    Parameters
    ----------
    values : sequence
        Texts; chat messages are a list of objects with ``role`` and ``content`` (or
        ``parts``), or an object with such a list as ``messages``, as values or as JSON.
    label : str
        The column's name, for the note.

    Returns
    -------
    values : sequence
        The same object where no value holds chat messages.
    note : str
        How many values do, and of how many messages and tools; "" where none does.
    """
    if isinstance(values, TextColumn) and not _may_hold_chats(values.arrow):
        return values, ""
    result = list(values)
    chats = messages = tools = others = 0
    for row, value in enumerate(result):
        chat, offered = _chat(value)
        if not chat:
            continue
        texts = [(message["role"], _text(message)) for message in chat]
        said = [text for role, text in texts if role in ("user", "human") and text]
        result[row] = said[-1] if said else next((text for _, text in reversed(texts) if text), "")
        chats += 1
        messages += len(chat)
        tools += offered
        others += not said
    if not chats:
        return values, ""
    note = (
        f"{label}: chat messages in {chats:,} of {len(result):,} rows: the text is the last user "
        f"message ({messages:,} messages, {tools:,} tools)"
    )
    if others:
        note += f", or the last message in {others:,} rows without one"
    return result, note


def _may_hold_chats(texts: pa.ChunkedArray) -> bool:
    return any_match(texts, r"^\s*[\[{]")


def _chat(value: Any) -> tuple[list[dict[str, Any]], int]:
    """The messages of a value and the number of tools they name; none where it is no chat."""
    if isinstance(value, str):
        if not value.lstrip().startswith(_OPENINGS):
            return [], 0
        value = _parsed(value)
    offered = 0
    if isinstance(value, dict) and isinstance(value.get("messages"), list):
        tools = value.get("tools") or value.get("functions")
        offered = len(tools) if isinstance(tools, list) else 0
        value = value["messages"]
    elif isinstance(value, dict):
        value = [value]
    if not isinstance(value, list) or not value or not all(map(_is_message, value)):
        return [], 0
    return value, offered


def _parsed(text: str) -> Any:
    if '"role"' in text:
        with suppress(ValueError, RecursionError):
            return json.loads(text)
    if "'role'" in text:  # as Python prints a list of messages
        with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            return ast.literal_eval(text.strip())
    return None


def _is_message(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("role"), str)
        and any(key in value for key in ("content", "parts", "tool_calls"))
    )


def _text(message: dict[str, Any]) -> str:
    """The text of a message: its content, or the parts of it that are text."""
    content = message.get("content") if message.get("content") is not None else message.get("parts")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part if isinstance(part, str) else _part_text(part) for part in parts]
    return "\n".join(text for text in texts if text)


def _part_text(part: Any) -> str:
    text = (part.get("text") or part.get("content")) if isinstance(part, dict) else None
    return text if isinstance(text, str) else ""
