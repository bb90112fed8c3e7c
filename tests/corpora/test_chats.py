"""Of chat messages in place of a text, the last user message is the task."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from routingsim.corpora.corpus import Corpus
from routingsim.corpora.datasets import load_corpus

Write = Callable[..., Path]

PARTS = [{"type": "text", "text": "one"}, {"type": "image_url"}, {"type": "text", "text": "two"}]
RESULT = [{"type": "tool_result", "content": "42"}]


@pytest.mark.parametrize(
    ("chat", "text", "counts"),
    [
        ([{"role": "user", "content": "hi"}], "hi", "1 message, 0 tools"),
        (
            [
                {"role": "system", "content": "s"},
                {"role": "user", "content": "first"},
                {"role": "assistant", "content": None, "tool_calls": []},
                {"role": "user", "content": "last"},
                {"role": "tool", "content": "42"},
            ],
            "last",
            "5 messages, 0 tools",
        ),
        (
            {"messages": [{"role": "user", "content": PARTS}], "tools": [{}, {}]},
            "one\ntwo",
            "1 message, 2 tools",
        ),
        (
            [{"role": "user", "content": "ask"}, {"role": "user", "content": RESULT}],
            "ask",
            "2 messages, 0 tools",
        ),
        ({"contents": [{"role": "user", "parts": [{"text": "g"}]}]}, "g", "1 message, 0 tools"),
        (
            [{"role": "user", "parts": [{"type": "text", "content": "o"}]}],
            "o",
            "1 message, 0 tools",
        ),
        ([{"from": "human", "value": "s"}], "s", "1 message, 0 tools"),
        ([{"type": "human", "content": "l"}], "l", "1 message, 0 tools"),
        (
            [{"role": "system", "content": "only"}],
            "only",
            "1 message, 0 tools), or the last message in 1 row without one",
        ),
    ],
)
def test_the_last_user_message_is_the_text(write: Write, chat: Any, text: str, counts: str) -> None:
    note = "text: chat messages in 1 of 1 row: the text is the last user message (" + counts
    note += "" if note.endswith("one") else ")"
    for value in (chat, json.dumps(chat), str(chat)):
        corpus = load_corpus(write(json.dumps({"id": "a", "text": value})))
        assert corpus.texts.to_pylist() == [text]
        assert corpus.notes == (note,)
    frame = pd.DataFrame({"id": ["a"], "text": [json.dumps(chat)]})
    frame.to_csv(path := write("", "chats.csv"), index=False)
    assert (
        load_corpus(path).texts.to_pylist() == Corpus.from_frame(frame).texts.to_pylist() == [text]
    )


@pytest.mark.parametrize(
    "text",
    [
        "[1, 2, 3] has a role",
        '{"type": "object", "content": "a schema"}',
        '[{"role": "user"}]',
        '[{"role": "user", "content": "cut off',
        '{"role": "the hero", "content": "a story"}',
        "[]",
    ],
)
def test_other_texts_stay(write: Write, text: str) -> None:
    corpus = load_corpus(write(json.dumps({"id": "a", "text": text})))
    assert (corpus.texts.to_pylist(), corpus.notes) == ([text], ())


def test_chats_of_parquet(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": ["a"], "text": [[{"role": "user", "content": PARTS}]]})
    frame.to_parquet(path := tmp_path / "chats.parquet")
    assert load_corpus(path).texts.to_pylist() == ["one\ntwo"]
    assert load_corpus(pd.read_parquet(path)).texts.to_pylist() == ["one\ntwo"]


def test_chats_among_texts_are_counted(write: Write) -> None:
    texts = ["plain", json.dumps([{"role": "user", "content": "hi"}])]
    pd.DataFrame({"id": ["a", "b"], "text": texts}).to_csv(path := write("", "t.csv"), index=False)
    corpus = load_corpus(path)
    assert corpus.texts.to_pylist() == ["plain", "hi"]
    assert corpus.notes == (
        "text: chat messages in 1 of 2 rows: the text is the last user message "
        "(1 message, 0 tools)",
    )
