"""Chat messages where a task's text is expected: the task is what the user said last."""

import ast
import json
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from routingsim.corpora.rows import TextColumn, any_match, counted

_BEGINNINGS = ("[", "{", " ", "\n", "\r", "\t")
_LISTS = ("messages", "contents", "conversations", "conversation")
_CONTENTS = ("content", "parts", "value")
_USER = ("user", "human")
_ROLES = (*_USER, "system", "developer", "assistant", "ai", "gpt", "model", "tool", "function")
_ROLE = re.compile(r"""(["'])(role|from|type)\1""")


def last_user_messages(values: Sequence[Any], label: str) -> tuple[Sequence[Any], str]:
    """The column with the last user message in place of each list of chat messages.

    Parameters
    ----------
    values : sequence
        Texts; chat messages are a list of objects with a role and a content, or an object
        with such a list as ``messages``, as values or as JSON. The names of OpenAI,
        Anthropic, Gemini, OpenTelemetry, LangChain and ShareGPT are known.
    label : str
        The column's name, for the note.

    Returns
    -------
    values : sequence
        The same object where no value holds chat messages.
    note : str
        How many values do, and of how many messages and tools; "" where none does.
    """
    if isinstance(values, TextColumn) and not any_match(values.arrow, r"^\s*[\[{]"):
        return values, ""
    result = list(values)
    chats = messages = tools = others = 0
    for row, value in enumerate(result):
        if isinstance(value, str) and value[:1] not in _BEGINNINGS:
            continue
        chat, offered = _chat(value)
        if not chat:
            continue
        texts = [(_role(message), _text(message)) for message in chat]
        said = [text for role, text in texts if role in _USER and text]
        result[row] = said[-1] if said else next((text for _, text in reversed(texts) if text), "")
        chats += 1
        messages += len(chat)
        tools += offered
        others += not said
    if not chats:
        return values, ""
    note = (
        f"{label}: chat messages in {chats:,} of {counted(len(result), 'row')}: the text is the "
        f"last user message ({counted(messages, 'message')}, {counted(tools, 'tool')})"
    )
    if others:
        note += f", or the last message in {counted(others, 'row')} without one"
    return result, note


def _chat(value: Any) -> tuple[list[dict[str, Any]], int]:
    """The messages of a value and the number of tools they name; none where it is no chat."""
    if isinstance(value, str):
        value = _parsed(value)
    offered = 0
    value = _listed(value)
    if isinstance(value, dict):
        tools = value.get("tools") or value.get("functions")
        offered = len(tools) if isinstance(tools, list) else 0
        value = _listed(next((value[name] for name in _LISTS if name in value), [value]))
    if not isinstance(value, list) or not value or not all(map(_is_message, value)):
        return [], 0
    return value, offered


def _listed(value: Any) -> Any:
    """An array, as pandas reads lists from Parquet, as a list."""
    return value.tolist() if isinstance(value, np.ndarray) else value


def _parsed(text: str) -> Any:
    named = _ROLE.search(text)
    if named and named[1] == '"':
        with suppress(ValueError, RecursionError):
            return json.loads(text)
    elif named:  # as Python prints a list of messages
        with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            return ast.literal_eval(text.strip())
    return None


def _is_message(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and _role(value) in _ROLES
        and any(key in value for key in (*_CONTENTS, "tool_calls"))
    )


def _role(message: dict[str, Any]) -> Any:
    return next((message[name] for name in ("role", "from", "type") if name in message), None)


def _text(message: dict[str, Any]) -> str:
    """The text of a message: its content, or the parts of it that are text."""
    content = next((message[name] for name in _CONTENTS if message.get(name) is not None), None)
    if isinstance(content, str):
        return content
    content = _listed(content)
    parts = content if isinstance(content, list) else []
    texts = [part if isinstance(part, str) else _part_text(part) for part in parts]
    return "\n".join(text for text in texts if text)


def _part_text(part: Any) -> str:
    if not isinstance(part, dict):
        return ""
    text = part.get("text") or (part.get("content") if part.get("type") == "text" else None)
    return text if isinstance(text, str) else ""
