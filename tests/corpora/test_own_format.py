"""A file with ids and texts is of our own format, whatever other columns it has."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from routingsim.corpora.datasets import load_corpus

Write = Callable[..., Path]

FOREIGN = {
    "RouteLLM": {"prompt": "p", "gpt-4-1106-preview": True, "gpt-4-1106-preview_response": "r"},
    "a flag": {"prompt": "sys prompt", "is_good": True},
    "a prompt": {"prompt": "sys"},
    "Ragas": {"question": "hi", "scores": {"faithfulness": 0.7, "relevance": 0.9}},
    "DCRouter": {"question": "hi", "scores": {"m": 0.7}, "cluster_id": 3},
    "ParetoBandit": {"prompt": "p", "source": "s", "arms": {"m": {"reward": 1, "cost": 0.1}}},
    "Azure": {"TIMESTAMP": "2023-11-16 18:17:03", "ContextTokens": 1, "GeneratedTokens": 2},
}


@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "parquet"])
@pytest.mark.parametrize("case", FOREIGN)
def test_our_own_format_wins(write: Write, tmp_path: Path, case: str, form: str) -> None:
    extra = FOREIGN[case]
    records = [{"id": name, "text": f"text {name}"} | extra for name in ("x1", "x2")]
    if form == "jsonl":
        path = write("\n".join(map(json.dumps, records)))
    elif form == "json":
        path = write(json.dumps(records), "tasks.json")
    else:
        path = tmp_path / f"tasks.{form}"
        frame = pd.DataFrame(records)
        frame.to_csv(path, index=False) if form == "csv" else frame.to_parquet(path)
    corpus = load_corpus(path)
    assert corpus.tasks["id"].tolist() == ["x1", "x2"]
    assert corpus.texts.to_pylist() == ["text x1", "text x2"]
    assert corpus.agents == ()
    count = "1 column was" if len(extra) == 1 else f"{len(extra)} columns were"
    (note,) = corpus.notes
    assert note.startswith(f"{count} left: {', '.join(extra)}")


def test_a_note_says_how_to_use_what_was_left(write: Write) -> None:
    record = {"id": "1", "text": "hello", "timestamp": 1745226000000, "input_length": 10}
    assert load_corpus(write(json.dumps(record | {"output_length": 3}))).notes == (
        "3 columns were left: timestamp, input_length, output_length; to use them, rename "
        "timestamp to arrived_at, rename input_length to prompt_tokens",
    )
    assert load_corpus(write('{"id": "a", "text": "x", "quality": 1}')).notes == (
        "1 column was left: quality; outcomes are read from outcomes.AGENT.quality, .cost and "
        ".latency",
    )
    many = {f"c{number}": number for number in range(30)}
    (note,) = load_corpus(write(json.dumps({"id": "a", "text": "x"} | many))).notes
    assert note == f"30 columns were left: {', '.join(many)}"
