"""The formats of others are read to their authors' own figures."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from routingsim.corpora.corpus import Corpus
from routingsim.corpora.datasets import load_corpus
from routingsim.corpora.logs.wide import FORMATS
from routingsim.errors import CorpusError

GOOD = '{"id": "a", "text": "one"}\n{"id": "b", "text": "two"}\n'
Write = Callable[..., Path]


def ids(corpus: Corpus) -> list[str]:
    return corpus.tasks["id"].tolist()


def test_format_given_and_unknown(write: Write) -> None:
    path = write(GOOD, "tasks.csv")
    assert len(load_corpus(path, format="jsonl")) == 2
    with pytest.raises(CorpusError, match="allowed are paretobandit"):
        load_corpus(path, format="yaml")
    with pytest.raises(CorpusError, match="allowed are 'raise' and 'skip'"):
        load_corpus(write(GOOD), on_error="ignore")


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_refuses_another_shape_clearly(write: Write, format: str) -> None:
    path = write('{"somebody": "else"}\n', "other.jsonl")
    with pytest.raises(CorpusError, match=r"other\.jsonl"):
        load_corpus(path, format=format)


ARMS = {"m": {"reward": 0.5, "cost": 0.01}, "n": {"reward": 1, "cost": 0}}


FOREIGN = {
    "routellm": (
        "prompt,m,n,m_response,n_response\nhi,True,False,x,x\nyo,Maybe,True,y,y\n"
        "ho,True,True,z,z\n",
        ["m"],
    ),
    "paretobandit": (
        "\n".join(
            json.dumps({"prompt": "hi", "source": "s", "arms": arms})
            for arms in (ARMS, {"m": {"reward": 1.5, "cost": 1}}, ARMS)
        ),
        ["arms.m.reward", "from 0 to 1", "1.5"],
    ),
    "dcrouter": (
        json.dumps(
            [
                {"question": "q", "scores": {"m": score}, "cluster_id": 3}
                for score in (0.5, "good", 1)
            ]
        ),
        ["scores.m", "'good'"],
    ),
    "azure": (
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.5,1,2\nyesterday,3,4\n"
        "2023-11-16 18:17:04.75,5,6\n",
        ["TIMESTAMP", "2023-11-16", "'yesterday'"],
    ),
    "mooncake": (
        "\n".join(
            json.dumps({"timestamp": stamp, "input_length": 1, "output_length": 2, "hash_ids": [0]})
            for stamp in (0, -5, 1250)
        ),
        ["timestamp", ">= 0", "-5"],
    ),
}


@pytest.mark.parametrize("format", FOREIGN)
def test_a_bad_record_in_a_foreign_shape(write: Write, format: str) -> None:
    content, said = FOREIGN[format]
    path = write(content, "theirs.json" if content[0] in "[{" else "theirs.csv")
    with pytest.raises(CorpusError) as caught:
        load_corpus(path)
    assert all(part in str(caught.value) for part in said), str(caught.value)
    corpus = load_corpus(path, on_error="skip")
    # Ids are the numbers of the records in the file, whatever is skipped.
    assert ids(corpus) == ["theirs-00001", "theirs-00003"]
    assert len(corpus.skipped) == 1
    if format in ("azure", "mooncake"):
        assert corpus.tasks["arrived_at"].tolist() == [0.0, 1.25]
        assert not corpus.has_texts


def test_unsorted_trace_counts_from_its_earliest_time(write: Write) -> None:
    rows = "2023-11-16 18:17:05.5000001,1,2\n2023-11-16 18:17:03.5,3,4\n"
    corpus = load_corpus(write("TIMESTAMP,ContextTokens,GeneratedTokens\n" + rows, "t.csv"))
    assert corpus.tasks["arrived_at"].tolist() == [0.0, 2.0000001]
    assert corpus.tasks["prompt_tokens"].tolist() == [3.0, 1.0]
    assert corpus.notes == ("the newest call was first: turned round",)


def test_routellm_takes_only_columns_of_truths_for_models(write: Write) -> None:
    content = "Unnamed: 0,prompt,answer,m\n0,hi,B,true\n1,yo,A,False\n2,ho,C,\n"
    corpus = load_corpus(write(content, "r.csv"), format="routellm")
    assert corpus.agents == ("m",)
    assert corpus.notes == (
        "format routellm: id from the record's number, text from prompt; 2 columns were left: "
        "Unnamed: 0, answer",
    )
    assert corpus.outcomes["quality"][:2, 0].tolist() == [1.0, 0.0]
    assert np.isnan(corpus.outcomes["quality"][2, 0])
    with pytest.raises(CorpusError, match=r"no column of True and False.*found 'prompt', 'answer'"):
        load_corpus(write("prompt,answer\nhi,B\n", "r.csv"), format="routellm")


def test_columns_of_truths_alone_are_no_models(write: Write) -> None:
    content = "prompt,success,stream\nhi,True,False\nho,False,False\n"
    with pytest.raises(CorpusError, match="--map text=prompt,status=success"):
        load_corpus(write(content, "log.csv"))
    assert load_corpus(write(content, "log.csv"), format="routellm").agents == ("success", "stream")
    published = content.replace("success", "gpt-4-1106-preview")
    with pytest.raises(CorpusError, match="--map text=prompt"):
        load_corpus(write(published, "r.csv"))
    published = published.replace("stream", "mixtral-8x7b-instruct-v0.1")
    assert load_corpus(write(published, "r.csv")).agents == (
        "gpt-4-1106-preview",
        "mistralai/Mixtral-8x7B-Instruct-v0.1",
    )


@pytest.mark.parametrize(
    "record",
    [
        {"prompt": "p", "source": "s", "arms": {"m": {"score": 1}}},
        {"prompt": "p", "arms": {"m": {"reward": 1, "cost": 1}}},
        {"question": "q", "scores": {"faithfulness": 0.7}},
        {"timestamp": 1745226000000, "input_length": 10, "output_length": 3},
    ],
)
def test_a_part_of_a_signature_is_not_enough(write: Write, record: dict) -> None:
    with pytest.raises(CorpusError, match=r"column 'id', 'text' is missing; .*to start from: "):
        load_corpus(write(json.dumps(record)))


def test_gsm8k(shared_data: Path) -> None:
    corpus = load_corpus(shared_data / "gsm8k_responses.csv")
    assert len(corpus) == 1319
    assert corpus.agents == ("mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview")
    assert corpus.outcomes["quality"].sum(axis=0).tolist() == [842, 1130]
    assert corpus.texts[0].as_py().startswith("Janet’s ducks lay 16 eggs")
    assert (ids(corpus)[0], ids(corpus)[-1]) == ("gsm8k_responses-00001", "gsm8k_responses-01319")
    assert set(corpus.tasks["category"]) == {""}
    assert corpus.notes == (
        "format routellm: id from the record's number, text from prompt; 2 columns were left: "
        "mistralai/Mixtral-8x7B-Instruct-v0.1_response, gpt-4-1106-preview_response",
    )


@pytest.mark.slow
def test_paretobandit(shared_data: Path) -> None:
    corpus = load_corpus(shared_data / "paretobandit_val_k4.jsonl")
    assert len(corpus) == 1766
    models = [
        "meta-llama/llama-3.1-8b-instruct",
        "mistralai/mistral-large-2512",
        "google/gemini-2.5-pro",
        "google/gemini-2.5-flash",
    ]
    quality = corpus.outcome("quality", models).mean(axis=0)
    assert quality == pytest.approx([0.78958, 0.92561, 0.93562, 0.92881], abs=5e-6)
    cost = corpus.outcome("cost", models).mean(axis=0)
    assert cost == pytest.approx([2.92e-5, 4.94e-4, 1.497e-2, 8.99e-4], rel=2e-3)
    assert corpus.tasks["category"].tolist().count("gsm8k") == 360


@pytest.mark.slow
def test_dcrouter(shared_data: Path) -> None:
    path = shared_data / "dcrouter_train.json"
    corpus = load_corpus(path)
    records = json.loads(path.read_bytes())
    assert corpus.outcomes["quality"].shape == (5608, 9)
    assert np.isnan(corpus.outcomes["cost"]).all()
    for agent in corpus.agents:
        scores = [record["scores"][agent] for record in records]
        assert corpus.outcome("quality", [agent])[:, 0].tolist() == scores
    assert set(corpus.tasks["category"]) == {""}  # cluster_id is made from the scores


def test_azure(shared_data: Path) -> None:
    corpus = load_corpus(shared_data / "AzureLLMInferenceTrace_code.csv")
    gaps = np.diff(corpus.tasks["arrived_at"])
    assert len(corpus) == 8819
    assert corpus.has_arrivals
    assert not corpus.has_texts
    assert gaps.std() / gaps.mean() == pytest.approx(13.15, abs=0.005)
    first = corpus.tasks.loc[:1, ["arrived_at", "prompt_tokens", "output_tokens"]].to_numpy()
    assert first.tolist() == [[0.0, 4808.0, 10.0], [0.052, 3180.0, 8.0]]


@pytest.mark.slow
def test_mooncake(shared_data: Path) -> None:
    corpus = load_corpus(shared_data / "mooncake_conversation_trace.jsonl")
    assert len(corpus) == 12031
    assert corpus.tasks["arrived_at"].iloc[-1] == pytest.approx(3536.999, abs=0.002)
    assert np.mean(np.diff(corpus.tasks["arrived_at"].to_numpy()) == 0) == pytest.approx(
        0.90, abs=0.01
    )
    assert corpus.tasks.loc[0, ["prompt_tokens", "output_tokens"]].tolist() == [6758.0, 500.0]
