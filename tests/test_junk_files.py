"""Files made to harm: what unpacks to more than memory, devices, and damaged files of each kind.

The readers are those of corpora, agents and policies. Damage is drawn with a fixed seed, so that
every run reads the same files. Part of the bombs' limits are set low, lest the tests need them.
"""

import csv
import gzip
import io
import random
import resource
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from routingsim.agents import AgentPool, load_agents
from routingsim.corpora.datasets import load_corpus
from routingsim.corpora.logs.blocks import _csv, blocks
from routingsim.corpora.logs.json_blocks import JsonBlocks
from routingsim.corpora.logs.read import read_log
from routingsim.errors import AgentError, CorpusError, PolicyError, RoutingSimError, SimulationError
from routingsim.evaluation.sweeps.plan_file import read_plan
from routingsim.files import LIMITS, limit, read_file
from routingsim.policies.policy import make_policy
from routingsim.policies.storage import load_policy, save_policy

SEED, DAMAGES = 20260705, 60
POOL = load_agents("default")


def refusal(path: Path, read: Callable[[Path], object], kind: type[RoutingSimError]) -> str:
    """What is said of a file, in one line."""
    with pytest.raises(kind) as caught:
        read(path)
    said = str(caught.value)
    assert said.startswith(str(path))
    assert "\n" not in said
    return said.removeprefix(str(path))


def corpus(path: Path) -> object:
    return load_corpus(str(path))


def policy(path: Path) -> object:
    return load_policy(POOL, path)


def peak() -> int:
    """Bytes of memory that this process has used at most."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_a_limit_is_a_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert {name: limit(name) for name in LIMITS} == LIMITS
    file = tmp_path / "four"
    file.write_bytes(b"abcd")
    monkeypatch.setenv("ROUTINGSIM_MAX_BYTES", "4")
    assert read_file(file) == b"abcd"
    monkeypatch.setenv("ROUTINGSIM_MAX_BYTES", "3")
    with pytest.raises(OSError, match="larger than 3 bytes; ROUTINGSIM_MAX_BYTES sets another"):
        read_file(file)
    for wrong in ("0", "-1", "1e9", "many", "9" * 30):
        monkeypatch.setenv("ROUTINGSIM_MAX_BYTES", wrong)
        with pytest.raises(RoutingSimError) as caught:
            read_file(file)
        assert str(caught.value) == (
            f"ROUTINGSIM_MAX_BYTES (environment): found {wrong!r}, allowed is a whole number "
            "above 0"
        )


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/full"])
def test_a_device_is_no_file(path: str) -> None:
    for read, kind in ((corpus, CorpusError), (load_agents, AgentError)):
        assert "it is a device, not a file" in refusal(Path(path), read, kind)
    assert refusal(Path(path), policy, PolicyError) == ": not a saved policy: it is no file"
    with pytest.raises(PolicyError, match="not a saved policy: it is no file"):
        make_policy(POOL, f"file:{path}")


def test_a_gzip_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTINGSIM_MAX_BYTES", "1000000")
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(bytes(50_000_000)))
    said = refusal(path, corpus, CorpusError)
    assert said.startswith(
        ": 1,000,001 bytes or more once unpacked, and at most 1,000,000 are read"
    )


def test_parquet_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.parquet"
    before = peak()
    many = pa.array(["x"]).take(pa.array(np.zeros(16_000, np.int8)))
    pq.write_table(pa.table({"id": many, "text": many}), path)
    monkeypatch.setenv("ROUTINGSIM_MAX_CELLS", "31999")
    assert refusal(path, corpus, CorpusError).startswith(
        ": 32,000 cells, and at most 31,999 are read; ROUTINGSIM_MAX_CELLS"
    )
    monkeypatch.setenv("ROUTINGSIM_MAX_CELLS", "60000")
    monkeypatch.setenv("ROUTINGSIM_MAX_BYTES", "20000000")
    long = pa.DictionaryArray.from_arrays(pa.array([0] * 30_000), pa.array(["x" * 100_000]))
    pq.write_table(pa.table({"id": pa.array(range(30_000)), "text": long}), path)
    assert refusal(path, corpus, CorpusError).startswith(
        ": 3,000,000,000 bytes of text once unpacked, and at most 20,000,000 are read"
    )
    pq.write_table(pa.table({"id": ["a"], "text": pa.array([[0] * 60_000])}), path)
    assert refusal(path, corpus, CorpusError).startswith(": 60,001 cells, and at most 60,000")
    assert peak() - before < 600_000_000


def test_a_parquet_file_still_has_its_values(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    frame = pd.DataFrame(
        {"id": ["a", "b", "c"], "text": ["x", "y", "x"], "arrived_at": [0.0, 0.5, 1.0]}
    )
    frame.to_parquet(path, index=False)
    back = load_corpus(str(path)).to_frame()[list(frame.columns)]
    assert back.to_numpy().tolist() == frame.to_numpy().tolist()


def test_tables_that_are_too_wide(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    names = ",".join(f"c{k}" for k in range(100_000))
    path.write_text(f"id,text,{names}\na,b{',1' * 100_000}\n")
    assert refusal(path, corpus, CorpusError).startswith(
        ":1: 100,002 columns, and at most 10,000 are read; ROUTINGSIM_MAX_COLUMNS"
    )
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f'{{"id":"{k}","text":"b","k{k}":1}}\n' for k in range(10_001)))
    with pytest.raises(CorpusError, match="10,003 different keys, and at most 10,000 are read"):
        corpus(path)


def test_a_line_or_cell_that_is_too_long_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTINGSIM_MAX_LINE", "60")
    monkeypatch.setenv("ROUTINGSIM_MAX_TEXT", "50")
    short, long = "x" * 20, "y" * 80
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"id":"a","text":"{short}"}}\n{{"id":"b","text":"{long}"}}\n')
    said = (
        ": 100 bytes in one line, and at most 60 are read; ROUTINGSIM_MAX_LINE sets another limit"
    )
    with pytest.raises(CorpusError) as caught:
        corpus(path)
    assert str(caught.value).startswith(f"{path}:2{said}")
    assert load_corpus(str(path), on_error="skip").to_frame()["id"].tolist() == ["a"]
    for ends in ("\n", "\r\n", "\r"):
        path = tmp_path / "a.csv"
        path.write_bytes(ends.join(["id,text", f"a,{short}", f"b,{long}", "c,z", ""]).encode())
        extra = ends.count("\r\n")
        assert refusal(path, corpus, CorpusError) == (
            f":3: {82 + extra} bytes in one line, and at most 60 are read; "
            "ROUTINGSIM_MAX_LINE sets another limit"
        )
    path = tmp_path / "a.json"
    path.write_text(f'[{{"id":"a","text":"{short}"}},\n{{"id":"b","text":"{"z" * 301}"}}]')
    assert refusal(path, corpus, CorpusError) == (
        ":2: a value of more than 300 bytes, six times ROUTINGSIM_MAX_TEXT, which sets another "
        "limit"
    )
    monkeypatch.setenv("ROUTINGSIM_MAX_TEXT", "1000000")
    monkeypatch.setenv("ROUTINGSIM_MAX_LINE", "4000000")
    cell = "x" * 99 + "\n"
    path = tmp_path / "b.csv"
    path.write_text(f'id,text\na,b\nc,"{cell * 20_000}"\nd,x"y\n')
    before = csv.field_size_limit(10)  # no reader lowers it
    assert refusal(path, corpus, CorpusError) == (
        ":3: a cell of more than 1,000,000 characters; ROUTINGSIM_MAX_TEXT sets another limit"
    )
    csv.field_size_limit(before)
    # Doubled and escaped quotes do not hide how long a text is.
    monkeypatch.setenv("ROUTINGSIM_MAX_TEXT", "50000")
    said = 'say ""hi""' * 30_000
    path.write_text(f'id,text\na,b\nc,"{said}"\n')
    assert refusal(path, corpus, CorpusError).startswith(":3: a cell of more than 50,000 char")
    path = tmp_path / "b.json"
    first = '[{"id":"a","text":"b"},\n{"id":"c","text":"\\\\"},\n'
    path.write_text(first + '{"id":"d","text":"' + r"\"x" * 110_000 + '"}]')
    assert refusal(path, corpus, CorpusError).startswith(":3: a value of more than 300,000 bytes")
    # Logs are read by blocks, which are not joined to a line or record of more than the limit.
    parts = [b"x" * 3_000_000] * 9
    with pytest.raises(CorpusError, match=r"a:2: 6,000,000 bytes or more in one line, and"):
        list(JsonBlocks("a", None, {}, None).lines(b"{}\n", lambda _: parts.pop(), 2**20))
    with pytest.raises(CorpusError, match=r"a:2: 6,000,003 bytes or more in one record.*never"):
        list(_csv("a", b'id,text\na,"', lambda _: parts.pop(), None, 2**20))
    assert len(parts) == 5
    parts = [b"x" * 3_000_000] * 9
    with pytest.raises(CorpusError, match="a, row 1: 6,000,002 bytes or more in one record"):
        list(JsonBlocks("a", None, {}, None).values(b'{"', lambda _: parts.pop(), 2**20, 0))
    parts = [b"x" * 3_000_000] * 9
    with pytest.raises(CorpusError, match="a, row 1: 6,000,002 bytes or more in one record"):
        list(JsonBlocks("a", None, {}, 1).values(b'{"', lambda _: parts.pop(), 2**20, 0))


def test_a_log_is_as_large_as_it_is_but_no_gzip_bomb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = b'{"id":"a","model":"m"}\n' * 1_000
    packed, plain = tmp_path / "a.jsonl.gz", tmp_path / "a.jsonl"
    plain.write_bytes(lines)
    monkeypatch.setenv("ROUTINGSIM_MAX_BYTES", "22999")
    assert sum(map(len, blocks(plain, None, size=100))) == 1_000
    packed.write_bytes(gzip.compress(lines))  # some 130 bytes, which may be 13,000
    said = r"23,000 bytes or more, unpacked, and at most 22,999 are read; ROUTINGSIM_MAX_BYTES"
    with pytest.raises(CorpusError, match=said):
        list(blocks(packed, None, size=100))
    monkeypatch.setenv("ROUTINGSIM_MAX_BYTES", "23000")
    assert sum(map(len, blocks(packed, None, size=100))) == 1_000
    packed.write_bytes(gzip.compress(lines, 0))  # hardly packed
    monkeypatch.setenv("ROUTINGSIM_MAX_BYTES", "10")
    assert sum(map(len, blocks(packed, None, size=100))) == 1_000


def test_a_text_that_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTINGSIM_MAX_TEXT", "10")
    for name, text in {
        "a.jsonl": '{"id":"a","text":"0123456789"}\n{"id":"b","text":"0123456789é"}\n',
        "a.csv": "id,text\na,0123456789\nb,0123456789é\n",
    }.items():
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        with pytest.raises(CorpusError, match="text: 12 bytes, and at most 10 are read"):
            corpus(path)
        kept = load_corpus(str(path), on_error="skip")
        assert kept.to_frame()["id"].tolist() == ["a"]


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 100_000,
        "a = " + "[" * 300 + "]" * 300,
        "[" + ".".join("a" * 5_000) + "]",
        "a = " + "{a=" * 5_000,
        "a = " + "9" * 10_000,
        "a = 1e9999999",
        f"[[agents]]\nid='a'\nname='A'\ncost={'9' * 400}\nlatency=1",
        "[[agents]]\nid='a'\nname='A'\ncost=1e400\nlatency=1",
        "[[agents]]\nid='a'\nname='A'\ncost=nan\nlatency=1",
        f"[[agents]]\nid='a'\nname='A'\ncost=1\nlatency=1\nconcurrency={'9' * 30}",
        "agents = 1979-05-27",
        "a = 0x" + "f" * 100_000,
        "a = '\\x00'\0",
        ".".join("a" * 50_000) + " = 1",
        "a = {" + " . ".join(["'a'"] * 50_000) + " = 1}",
    ],
    ids=range(15),
)
def test_toml_of_any_depth_or_number(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.toml"
    path.write_text(text)
    refusal(path, load_agents, AgentError)
    refusal(path, read_plan, SimulationError)


def test_a_long_text_in_toml_is_no_key(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    text = "[[agents]]  # " + "." * 500 + "\nid='a'\nname='" + "x." * 90 + "'\ncost=1\nlatency=1"
    path.write_text(text)
    assert load_agents(path)[0].name == "x." * 90


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The members of a policy's file."""
    path = tmp_path_factory.mktemp("saved") / "a.npz"
    save_policy(POOL, make_policy(POOL, "thompson"), path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(members: dict[str, bytes], path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


@pytest.mark.slow
def test_policy_bombs(tmp_path: Path, saved: dict[str, bytes]) -> None:
    before = peak()
    path = packed(saved | {"policy.json": b" " * (2**26 + 1)}, tmp_path / "a.npz")
    assert refusal(path, policy, PolicyError).startswith(": 67,108,865 bytes in policy.json, and")
    path = packed(saved | {"memory.npy": saved["memory.npy"] + bytes(100_000_000)}, path)
    assert "not a saved policy" in refusal(path, policy, PolicyError)
    for parameter in ("fs-qmix:levels=1000000000", "linucb:words=1000000000"):
        about = saved["policy.json"].replace(b"thompson", parameter.encode())
        refusal(packed(saved | {"policy.json": about}, path), policy, PolicyError)
    assert peak() - before < 500_000_000


def test_a_memory_that_is_partly_no_number(tmp_path: Path, saved: dict[str, bytes]) -> None:
    memory = bytearray(saved["memory.npy"])
    memory[-16:-8] = np.float64("nan").tobytes()
    path = packed(saved | {"memory.npy": bytes(memory)}, tmp_path / "a.npz")
    assert refusal(path, policy, PolicyError) == (
        ": its memory has values that are no numbers; it was changed"
    )


def damaged(data: bytes, draw: random.Random, reach: int | None = None) -> bytes:
    """The bytes with a few changed, some taken out or the end cut off."""
    result = bytearray(data)
    reach = min(len(result), reach or len(result))
    for _ in range(draw.choice((1, 1, 2, 5))):
        value = draw.choice(
            (draw.randrange(256), ord(draw.choice("{}[]()\"',:.0123456789-nNeE\n")))
        )
        result[draw.randrange(reach)] = value
    if draw.random() < 0.2:
        begin = draw.randrange(reach)
        del result[begin : begin + draw.randrange(40)]
    if draw.random() < 0.1:
        del result[draw.randrange(len(result)) :]
    return bytes(result)


FORMS = {
    "a.jsonl": b"""{"id":"a","text":"Hi","arrived_at":1.5,"outcomes":{"gpt-4":{"quality":1}}}
{"id":"b","text":"H\\u00e9","arrived_at":2,"category":"c","prompt_tokens":3}
""",
    "a.json": b'[{"id":"a","text":"Hi","propensity":0.5},{"id":"b","text":"Ho"}]',
    "a.csv": b'id,text,arrived_at\na,"Hi, ""you""",1.5\nb,Ho,2\n',
    "log.jsonl": b"""{"request_id":"r1","model":"gpt-4","startTime":"2026-01-05T09:00:00Z",\
"endTime":"2026-01-05T09:00:02Z","prompt_tokens":3,"completion_tokens":5,"spend":0.01}
{"request_id":"r2","model":"phi","startTime":"2026-01-05T09:00:01Z",\
"endTime":"2026-01-05T09:00:02Z","prompt_tokens":3,"completion_tokens":5,"spend":null}
""",
    "log.csv": b"id,agent,arrived_at,latency,cost,status\nr1,a,1.5,0.5,0.01,ok\nr2,b,2,,,timeout\n",
    "a.toml": b"""[[agents]]
id='a'
name='A'
cost=0.1
latency=2.5
strengths=['x']
concurrency=4
""",
}


def parquet() -> bytes:
    file = io.BytesIO()
    frame = pd.DataFrame({"id": ["a", "b"], "text": ["x", "y"], "arrived_at": [0.5, 1.0]})
    frame.to_parquet(file, index=False)
    return file.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FORMS, "a.parquet", "a.csv.gz", "a.npz"])
def test_damaged_files_are_refused_or_read(
    name: str, tmp_path: Path, saved: dict[str, bytes]
) -> None:
    draw = random.Random(f"{SEED} {name}")
    path = tmp_path / name
    read = {"toml": load_agents, "npz": policy}.get(name.rpartition(".")[2], corpus)
    read = read_log if name.startswith("log.") else read
    whole = {
        "a.parquet": parquet(),
        "a.csv.gz": gzip.compress(FORMS["a.csv"], mtime=0),
        "a.npz": packed(saved, path).read_bytes(),
    }
    refused: list[str] = []
    for _ in range(DAMAGES):
        if name == "a.npz" and draw.random() < 0.7:  # inside the archive, where sums are right
            member = draw.choice(sorted(saved))
            packed(saved | {member: damaged(saved[member], draw, 128)}, path)
        else:
            path.write_bytes(damaged(whole.get(name) or FORMS[name], draw))
        try:
            loaded = read(path)
            if isinstance(loaded, AgentPool):
                assert len(loaded) > 0
        except RoutingSimError as error:
            refused.append(str(error))
    print(f"{name}, seed {SEED}: {len(refused)} of {DAMAGES} refused")
    assert len(refused) > DAMAGES // 20
    # Further invalid records each have an indented line of their own.
    assert all(said and "\n" not in said.partition("\n  ")[0] for said in refused)
