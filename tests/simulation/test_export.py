"""Tables and traces for other programs."""

import csv
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from routingsim.agents import Agent, AgentPool
from routingsim.corpora.datasets import load_corpus
from routingsim.errors import SimulationError
from routingsim.simulation.export import SUFFIXES, write_table, write_tasks, write_trace
from routingsim.simulation.faults import Outage, Retries
from routingsim.simulation.replay import replay
from routingsim.simulation.result import ReplayResult

READ = {
    ".csv": pd.read_csv,
    ".parquet": pd.read_parquet,
    ".jsonl": lambda path: pd.read_json(path, lines=True, precise_float=True),
}


@pytest.fixture(scope="module")
def result() -> ReplayResult:
    """Queues, failures, tasks that give up or are turned away, and an outage."""
    pool = AgentPool(
        (
            Agent(id="a", name="A", cost=0.01, latency=1.0, concurrency=2, error_rate=0.2),
            Agent(id="b", name="B", cost=0.02, latency=2.0, concurrency=3, queue_limit=4),
            Agent(id="c", name="C", cost=0.02, latency=2.0, concurrency=1, patience=0.5),
        )
    )
    return replay(
        load_corpus("tasks"),
        pool,
        "random",
        arrivals="poisson:4",
        retries=Retries(3, 0.5),
        outages=[Outage("a", 20.0, 30.0)],
        seed=3,
    )


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_tasks_come_back_as_they_were(suffix: str, result: ReplayResult, tmp_path: Path) -> None:
    path = result.write(tmp_path / f"tasks{suffix}")
    back, frame = READ[suffix](path), result.to_frame()
    assert list(back.columns) == ["policy", *frame.columns]
    assert set(back["policy"]) == {"random"}
    assert back["task_id"].tolist() == frame["task_id"].tolist()
    assert back["status"].tolist() == frame["status"].tolist()
    for column in ("arrived_at", "started_at", "latency", "cost", "quality"):
        np.testing.assert_array_equal(back[column].to_numpy(float), frame[column].to_numpy(float))
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_two_policies_share_a_table(result: ReplayResult, tmp_path: Path) -> None:
    other = replay(result.corpus, result.pool, "cheapest", arrivals="poisson:4", seed=3)
    back = pd.read_parquet(write_tasks([result, other], tmp_path / "both.parquet"))
    assert back["policy"].value_counts().to_dict() == {"random": 542, "cheapest": 542}


def test_a_text_is_no_formula_in_a_spreadsheet(tmp_path: Path) -> None:
    texts = ["=1+1", "+1", "-1", "@A1", "\t=1", "\r=1", "\n=1", "＝1", "a=1", "'=1", "", "5-3"]
    frame = pd.DataFrame({"id": texts, "=cost": [-1.5] * 12, "kind": pd.Categorical(texts)})
    path = write_table(frame, tmp_path / "tasks.csv")
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    quoted = [f"'{text}" for text in texts[:8]] + texts[8:]
    assert header == ["id", "'=cost", "kind"]
    assert rows == [[text, "-1.5", text] for text in quoted]
    assert frame["id"].tolist() == texts
    assert pd.read_parquet(write_table(frame, tmp_path / "a.parquet"))["id"].tolist() == texts
    lines = write_table(frame, tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["id"] for line in lines] == texts


def test_a_name_that_ends_otherwise_is_refused(result: ReplayResult, tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match=r"tasks\.xls: .*\.csv, \.parquet, \.jsonl"):
        result.write(tmp_path / "tasks.xls")
    with pytest.raises(SimulationError, match="cannot be written"):
        result.write(tmp_path / "absent" / "tasks.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_trace_is_the_schedule(result: ReplayResult, tmp_path: Path) -> None:
    trace = json.loads(result.chrome_trace(tmp_path / "trace.json").read_text(encoding="utf-8"))
    events = trace["traceEvents"]
    names = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
    assert names == {1: "a", 2: "b", 3: "c"}
    served = [event for event in events if event["ph"] == "X"]
    calls = result.calls()
    counts = calls["status"].value_counts()
    assert len(served) == counts[0] + counts[1]
    assert sum(event["ph"] == "i" for event in events) == counts[2] + counts[3] > 0
    assert {event["args"]["status"] for event in served} == {"ok", "failed"}
    for pid, agent in enumerate(result.pool, start=1):
        mine = [event for event in served if event["pid"] == pid]
        assert {event["tid"] for event in mine} == set(range(1, agent.concurrency + 1))
        for slot in range(1, agent.concurrency + 1):
            spans = sorted((e["ts"], e["ts"] + e["dur"]) for e in mine if e["tid"] == slot)
            idle = [later[0] - earlier[1] for earlier, later in pairwise(spans)]
            assert min(idle) > -1e-3  # µs: a slot has one call at a time
    waits = sum(event["args"]["wait"] for event in events if event["ph"] != "M")
    assert waits == pytest.approx((calls["left_at"] - calls["sent_at"]).sum())


def test_policies_of_one_trace_are_told_apart(result: ReplayResult, tmp_path: Path) -> None:
    path = write_trace([result, result], tmp_path / "trace.json")
    events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    names = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
    assert len(names) == 6
    assert names[1] == names[4] == "random: a"
