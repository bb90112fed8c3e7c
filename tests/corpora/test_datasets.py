"""Corpora by name: found without network, checked by hash, never overwritten."""

import gzip
import hashlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest

from routingsim.agents import load_agents
from routingsim.corpora.catalogue import DATASETS, Dataset
from routingsim.corpora.corpus import Corpus
from routingsim.corpora.datasets import data_folder, list_corpora, load_corpus
from routingsim.errors import CorpusError


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """No socket can be opened."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError("the network is blocked in this test")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of public corpora."""
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setenv("ROUTINGSIM_DATA", str(folder))
    return folder


def snapshot(folder: Path) -> list[tuple[str, int, int]]:
    return sorted(
        (path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in folder.iterdir()
    )


@pytest.mark.parametrize("name", [name for name in DATASETS if name != "mmlu"])
@pytest.mark.usefixtures("no_network")
def test_what_is_in_the_folder_loads_without_network(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("ROUTINGSIM_DATA", str(shared_data))
    dataset = DATASETS[name]
    before = snapshot(shared_data)
    if (shared_data / dataset.file).exists():
        corpus = load_corpus(name)
        assert len(corpus) == dataset.records
        assert (corpus.name, corpus.source, corpus.sha256) == (name, dataset.url, dataset.sha256)
        assert corpus.tasks["id"].iloc[0] == f"{name}-00001"
        assert corpus.skipped == ()
    else:
        with pytest.raises(CorpusError, match="could not be fetched"):
            load_corpus(name)
    assert snapshot(shared_data) == before


@pytest.mark.usefixtures("no_network")
def test_a_read_only_folder_is_only_read(shared_data: Path, cache: Path) -> None:
    (cache / "gsm8k_responses.csv").write_bytes((shared_data / "gsm8k_responses.csv").read_bytes())
    before = snapshot(cache)
    cache.chmod(0o555)
    try:
        assert len(load_corpus("gsm8k")) == 1319
        with pytest.raises(CorpusError, match="could not be fetched"):
            load_corpus("dcrouter-test")
    finally:
        cache.chmod(0o755)
    assert snapshot(cache) == before


@pytest.mark.usefixtures("no_network")
def test_absent_and_unreachable_says_what_to_do(cache: Path) -> None:
    with pytest.raises(CorpusError) as caught:
        load_corpus("paretobandit-test")
    message = str(caught.value)
    for part in (
        str(cache / "paretobandit_test_k4.jsonl"),
        DATASETS["paretobandit-test"].url,
        "ROUTINGSIM_DATA",
    ):
        assert part in message
    assert "\n" not in message
    assert list(cache.iterdir()) == []


@pytest.mark.usefixtures("no_network")
def test_another_hash_is_an_error_and_the_file_stays(cache: Path) -> None:
    path = cache / "gsm8k_responses.csv"
    path.write_text("prompt,m\nhi,True\n")
    with pytest.raises(CorpusError, match=r"is not the published gsm8k \(sha256 .*format='routell"):
        load_corpus("gsm8k")
    assert path.read_text() == "prompt,m\nhi,True\n"
    assert load_corpus(path, format="routellm").agents == ("m",)


# -- fetching, from a server of our own --------------------------------------------------------


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def publish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[bytes, str], None]]:
    """Publish bytes as the corpus "served", under this hash, on a local web server."""
    folder = tmp_path / "published"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    address = f"http://127.0.0.1:{server.server_port}"

    def publish(data: bytes, sha256: str) -> None:
        (folder / "served.csv").write_bytes(data)
        dataset = Dataset("served", "served.csv", "", "", "", "csv", "MIT", "a test", sha256, 1)
        monkeypatch.setitem(DATASETS, "served", dataset)  # type: ignore[arg-type]
        monkeypatch.setattr(Dataset, "url", f"{address}/served.csv")

    yield publish
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.slow
def test_fetched_once_and_kept(cache: Path, publish: Callable[[bytes, str], None]) -> None:
    data = b"id,text\na,one\n"
    publish(data, hashlib.sha256(data).hexdigest())
    assert load_corpus("served").texts.to_pylist() == ["one"]
    assert [path.name for path in cache.iterdir()] == ["served.csv"]
    before = snapshot(cache)
    publish(b"gone", hashlib.sha256(data).hexdigest())
    assert load_corpus("served").texts.to_pylist() == ["one"]
    assert snapshot(cache) == before


@pytest.mark.slow
def test_a_download_with_another_hash_is_not_kept(
    cache: Path, publish: Callable[[bytes, str], None]
) -> None:
    publish(b"id,text\na,changed\n", hashlib.sha256(b"original").hexdigest())
    with pytest.raises(CorpusError, match=r"could not be fetched .*hash"):
        load_corpus("served")
    assert list(cache.iterdir()) == []


# -- MMLU: a folder of files -----------------------------------------------------------------------


def test_mmlu_from_its_folder(cache: Path) -> None:
    folder = cache / "mmlu"
    folder.mkdir()
    anatomy = b'prompt,weak,strong\n"Which?\nA. B.",True,False\nWhy?,False,True\n'
    virology = b",prompt,weak,strong\n0,How?,False,True\n"
    (folder / "mmlu_virology.csv").write_bytes(virology)
    (folder / "mmlu_anatomy.csv").write_bytes(anatomy)
    corpus = load_corpus("mmlu")
    assert corpus.tasks["category"].tolist() == ["anatomy", "anatomy", "virology"]
    assert corpus.tasks["id"].tolist() == [
        "mmlu-anatomy-00001",
        "mmlu-anatomy-00002",
        "mmlu-virology-00001",
    ]
    assert corpus.agents == ("weak", "strong")
    assert corpus.outcomes["quality"].tolist() == [[1, 0], [0, 1], [0, 1]]
    assert corpus.sha256 == hashlib.sha256(anatomy + virology).hexdigest()
    assert corpus.notes == (
        f"2 of 57 subjects are in {folder}",
        "format routellm: id from the record's number, text from prompt",
        "format routellm: id from the record's number, text from prompt; 1 column was left: "
        "column 1",
    )
    (folder / "mmlu_virology.csv").write_bytes(virology + b"1,Who?,True,Maybe\n2,Me?,True,True\n")
    with pytest.raises(CorpusError, match=r"mmlu_virology\.csv:3: strong: expected True or False"):
        load_corpus("mmlu")
    assert len(load_corpus("mmlu", on_error="skip")) == 4


@pytest.mark.parametrize(
    "weak", ["mixtral-8x7b-instruct-v0.1", "mistralai/Mixtral-8x7B-Instruct-v0.1"]
)
def test_mmlu_is_of_the_routellm_pool_by_either_name(cache: Path, weak: str) -> None:
    (cache / "mmlu").mkdir()
    rows = f"prompt,{weak},gpt-4-1106-preview\nWhy?,False,True\n"
    (cache / "mmlu" / "mmlu_anatomy.csv").write_text(rows)
    recorded = {agent.recorded_as for agent in load_agents("routellm")}
    assert set(load_corpus("mmlu").agents) == recorded


@pytest.mark.usefixtures("no_network")
def test_mmlu_absent_says_where_to_put_it(cache: Path) -> None:
    with pytest.raises(CorpusError) as caught:
        load_corpus("mmlu")
    for part in (
        "lm-sys/RouteLLM",
        DATASETS["mmlu"].commit,
        "responses/*.csv",
        str(cache / "mmlu"),
    ):
        assert part in str(caught.value)


# -- names and paths -------------------------------------------------------------------------------


def test_unknown_name_suggests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CorpusError, match=r"gsm8: no such file, .*did you mean 'gsm8k'"):
        load_corpus("gsm8")
    with pytest.raises(CorpusError, match="holds no file that can be a log"):
        load_corpus(tmp_path)
    monkeypatch.chdir(tmp_path)
    Path("mine.csv").write_text("id,text\na,one\n")
    corpus = load_corpus("mine.csv")
    assert (corpus.name, corpus.source) == ("mine", "mine.csv")


def test_a_frame_is_a_corpus() -> None:
    frame = pd.DataFrame({"id": ["a", "b"], "text": ["one", "two"], "arrived_at": [0.0, -1.0]})
    said = (
        "frame, row 2: arrived_at: expected a finite number >= 0, found -1.0. Mend the file, or "
        "leave such records out with on_error='skip' (--on-error skip)"
    )
    with pytest.raises(CorpusError) as caught:
        load_corpus(frame)
    assert str(caught.value) == said
    corpus = load_corpus(frame, on_error="skip")
    assert corpus == Corpus.from_frame(frame.head(1))
    assert (corpus.name, corpus.source, corpus.tasks["id"].tolist()) == (
        "frame",
        "DataFrame",
        ["a"],
    )
    assert load_corpus(corpus) is corpus


def test_what_cannot_be_a_corpus_is_named() -> None:
    with pytest.raises(CorpusError) as caught:
        load_corpus(["one", "two"])  # pyright: ignore[reportArgumentType]
    said = "corpus: expected a name, a path, a DataFrame or a Corpus, found an array (list)"
    assert str(caught.value) == said


def test_the_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTINGSIM_DATA", "somewhere")
    assert data_folder() == Path("somewhere")
    monkeypatch.delenv("ROUTINGSIM_DATA")
    assert data_folder().name == "routingsim"
    assert os.path.isabs(data_folder())


def test_corpora_lists_all(cache: Path) -> None:
    (cache / "dcrouter_test.json").write_text("[]")
    table = list_corpora()
    assert table.columns.tolist() == ["name", "records", "what", "licence", "present", "file"]
    assert table["name"].tolist() == ["tasks", "paretobandit", *DATASETS]
    public = table[2:]
    assert public.loc[public["present"], "name"].tolist() == ["dcrouter-test"]


def test_the_shipped_corpus() -> None:
    corpus = load_corpus("tasks")
    assert corpus.name == "tasks"
    assert corpus.has_arrivals
    assert corpus.has_texts
    assert corpus.agents == ()
    assert len(corpus) == list_corpora().set_index("name").loc["tasks", "records"]


def test_gzip_suffix_leaves_the_stem(tmp_path: Path) -> None:
    path = tmp_path / "mine.v2.csv.gz"
    path.write_bytes(gzip.compress(b"id,text\na,one\n"))
    corpus = load_corpus(path)
    assert corpus.name == "mine.v2"


def test_calls_with_ids_and_texts_are_a_log(tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    path.write_text("id,text,agent,latency\n1,What is 2+2?,big,2\n2,Name a colour,small,1\n")
    for source in (path, pd.read_csv(path)):
        corpus = load_corpus(source)
        assert corpus.agents == ("big", "small")
        assert corpus.outcome("latency", ["big", "small"]).tolist()[0][0] == 2.0
        assert corpus.notes == ()
    path.write_text("id,text,agent\n1,What is 2+2?,big\n")  # what came of the call is not known
    assert load_corpus(path).agents == ()
