"""What equals what: values with arrays, tables and unknown figures, and every public result."""

import copy
import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.equality import ByValue, same
from routingsim.policies.policy import make_policy
from routingsim.simulation.scenario import prepare
from routingsim.simulation.statistics import Interval

POOL = rs.load_agents()
WAYS: tuple[Callable[[Any], Any], ...] = (
    lambda value: pickle.loads(pickle.dumps(value)),
    copy.copy,
    copy.deepcopy,
)


@dataclass(frozen=True, eq=False)
class Figures(ByValue):
    name: str
    values: np.ndarray
    table: pd.DataFrame
    found: Any = math.nan
    kept: dict[str, int] = field(default_factory=dict, compare=False)


class Plain:
    def __init__(self, rate: float) -> None:
        self.rate = rate

    def faster(self) -> float:
        return 2 * self.rate


def figures(**changes: Any) -> Figures:
    frame = pd.DataFrame({"wait": [0.5, math.nan]})
    return replace(Figures("a", np.array([1.0, math.nan]), frame), **changes)


def test_a_value_equals_one_with_equal_fields_and_no_other() -> None:
    one = figures()
    assert one == figures() == figures(kept={"b": 1})
    assert hash(one) == hash(figures())
    assert len({one, figures(), figures(name="b")}) == 2
    for changes in (
        {"name": "b"},
        {"values": np.array([1.0, 2.0])},
        {"values": np.array([1, 2])},
        {"values": np.array([[1.0, math.nan]])},
        {"table": pd.DataFrame({"wait": [0.5, 1.0]})},
        {"found": 0.0},
        {"found": None},
    ):
        assert one != figures(**changes), changes
    assert one != "a"
    assert figures(found=1) == figures(found=1)


def test_nan_equals_nan_and_types_differ() -> None:
    array = np.array([1.0, "a", None], dtype=object)
    for one, other in (
        (math.nan, float("nan")),
        (np.float64("nan"), math.nan),
        ([1.0, math.nan], [1.0, math.nan]),
        (MappingProxyType({"a": (math.nan,)}), MappingProxyType({"a": (math.nan,)})),
        (array, array.copy()),
        (partial(max, 1, key=abs), partial(max, 1, key=abs)),
        (Plain(2.0), Plain(2.0)),
        (Plain(2.0).faster, Plain(2.0).faster),
        (Interval(1.0, math.nan), Interval(1.0, math.nan)),
        (np.datetime64("2026-01-01"), np.datetime64("2026-01-01")),
    ):
        assert same(one, other), one
    for one, other in (
        (math.nan, 0.0),
        (1, True),
        ([1], (1,)),
        ([1], [1, 2]),
        ({"a": 1}, {"b": 1}),
        (np.array(["a", "b"], dtype=object), np.array(["a", "c"], dtype=object)),
        (partial(max, 1), partial(min, 1)),
        (partial(max, 1), partial(max, 2)),
        (Plain(2.0), Plain(3.0)),
        (Plain(2.0).faster, Plain(3.0).faster),
        (max, min),
        (Plain.faster, Plain.__init__),
        (int, float),
        (Interval(1.0, math.nan), Interval(1.0, 0.5)),
    ):
        assert not same(one, other), (one, other)


@pytest.fixture(scope="module")
def corpus() -> rs.Corpus:
    frame = rs.load_corpus("tasks").tasks.head(60)
    for k, agent in enumerate(POOL.ids):
        frame[f"outcomes.{agent}.quality"] = (np.arange(60) % (k + 2) > 0).astype(float)
    return rs.load_corpus(frame)


def log(folder: Path) -> rs.CallLog:
    rows = [
        f"{k},{'big' if k % 3 else 'small'},{2 * k},{0.5 + k % 7 / 10},{10 + k % 7}\n"
        for k in range(300)
    ]
    head = "id,agent,arrived_at,latency,output_tokens\n"
    (folder / "calls.csv").write_text(head + "".join(rows), encoding="utf-8")
    return rs.read_log(folder / "calls.csv")


def pairs(corpus: rs.Corpus, folder: Path) -> dict[str, tuple[Any, Any]]:
    """Public values, each with another of its class."""
    ridge, random = make_policy(POOL, "ridge", corpus), make_policy(POOL, "random", corpus)
    met: dict[str, Any] = {"retries": rs.Retries(2), "outages": [rs.Outage("gpt-4", 1, 9)]}
    result = rs.replay(corpus, POOL, "linucb", arrivals="poisson:2", seed=1, **met)
    study = rs.compare(corpus, POOL, ["threshold", "random"], loads=0.3, replications=2, tasks=60)
    cell = study.cells["random", 0.3]
    study.table(0.3)  # what is worked out and kept does not count
    asked: dict[str, Any] = {"tasks": 60, "progress": False}
    sweep = rs.sweep(corpus, POOL, vary={"load": [0.3]}, replications=2, **asked)
    slots: dict[str, Any] = {"slots": {"mistral": [1]}, "slo": {"p95": 20}, "runs": 3}
    capacity = rs.capacity(corpus, POOL, arrivals="poisson:1", **slots, **asked)
    corpus.write(folder / "tasks.jsonl")
    stream = rs.stream_corpus(folder / "tasks.jsonl")
    streamed = rs.replay_stream(stream, POOL, arrivals="poisson:2", seed=1)
    found = log(folder)
    part = found.select(np.arange(300) < 200)
    whatif = found.whatif(["random"], replications=20, progress=False)
    scenario = prepare(corpus, POOL, ridge)
    return {
        "policy": (ridge, random),
        "kernel": (ridge.choose, random.choose),
        "corpus": (corpus, corpus.head(9)),
        "pool": (POOL, rs.load_agents("paretobandit")),
        "agent": (POOL.agents[0], POOL.agents[1]),
        "retries": (rs.Retries(2, cooldown="3:60:30"), rs.Retries(2)),
        "outage": (rs.Outage("a", 1, 2), rs.Outage("a", 1, 3)),
        "change": (rs.Change.parse("a:1:speed=2"), rs.Change.parse("a:1:price=2")),
        "hedge": (rs.Hedge(after=1.0), rs.Hedge(quantile=0.9)),
        "tenant": (rs.Tenant("a"), rs.Tenant("a", weight=2)),
        "arrivals": (rs.parse_arrivals("gamma:4,cv=2"), rs.parse_arrivals("gamma:4,cv=3")),
        "result": (result, replace(result, memory=result.memory + 1)),
        "stability": (result.stability, replace(result.stability, tasks=9)),
        "scenario": (scenario, replace(scenario, retries=rs.Retries(3))),
        "study": (
            study,
            replace(study, cells=dict.fromkeys(study.cells, cell)),
        ),
        "decision": (study.decision(), study.decision(slo={"p95": 9})),
        "sweep": (sweep, replace(sweep, rows={})),
        "capacity": (capacity, replace(capacity, frame=capacity.frame.head(0))),
        "stream": (stream, rs.stream_corpus(folder / "tasks.jsonl", on_error="skip")),
        "streamed": (streamed, replace(streamed, seed=2)),
        "log": (found, part),
        "service": (rs.fit_service(found), rs.fit_service(part)),
        "backtest": (whatif.backtest, replace(whatif.backtest, seed=1)),
        "whatif": (whatif, replace(whatif, results=whatif.results[:1])),
    }


@pytest.mark.slow
def test_public_values_equal_their_copies_and_no_others(corpus: rs.Corpus, tmp_path: Path) -> None:
    for name, (one, other) in pairs(corpus, tmp_path).items():
        assert one != other, name
        for way in WAYS:
            copied = way(one)
            assert copied == one, name
            assert copied != other, name
            assert repr(copied) == repr(one), name
            if isinstance(one, ByValue):
                assert hash(copied) == hash(one), name
