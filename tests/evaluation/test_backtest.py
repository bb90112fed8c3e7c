"""Backtests of logs whose law is known: what is said, what is left out, what is refused.

Tests ``evaluation.backtest``, ``backtest_result``, ``backtest_causes`` and ``log_fit``.
"""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.corpora import backtested
from routingsim.errors import CorpusError, SimulationError
from routingsim.evaluation.backtest import calls_as_tasks
from routingsim.evaluation.backtest_result import Backtest
from routingsim.report.backtest_report import compose_backtest

from .logs_with_agents import log, table


@pytest.fixture(scope="module")
def right() -> Backtest:
    return log(3000).backtest(seed=1, replications=12)


@pytest.mark.slow
def test_the_simulator_predicts_its_own_law(right: Backtest) -> None:
    assert right.fitted + right.held_out == 3000
    assert right.figure("latency mean").held
    assert right.off < 0.12
    assert right.off < right.believe < 0.3
    assert right.causes == ()
    assert right.figure("cost").off == pytest.approx(0, abs=0.01)
    assert {each.agent for each in right.figures} == {"all", "big", "small"}


@pytest.mark.slow
def test_the_sentence_has_the_figures_of_the_table(right: Backtest) -> None:
    p95 = right.figure("latency p95")
    assert right.sentence == (
        f"on your traffic the simulator is off by {100 * abs(p95.off):.2g} % at p95 "
        f"({p95.predicted:.3g} s predicted, {p95.recorded:.3g} s recorded, {p95.calls:,} calls); "
        f"believe differences above {100 * right.believe:.2g} %"
    )
    assert str(right) == f"O{right.sentence[1:]}."
    for shown in (repr(right), right.to_markdown(), right.to_html()):
        assert "believe differences above" in " ".join(shown.split())
    assert right.to_dict()["sentence"] == right.sentence
    assert f"p95 below {100 * right.believe:.2g} % may be errors of the simulator" in right.then[0]
    with pytest.raises(KeyError, match="there are latency mean"):
        right.figure("wait p95")


@pytest.mark.slow
def test_the_sentence_stands_in_every_later_report(right: Backtest) -> None:
    again = log(3000)
    result = rs.replay(again.corpus(), again.fit_pool()[0], "least-loaded")
    assert result.foremost[0] == right.sentence
    assert right.sentence in result.to_markdown().replace("\\", "")
    study = rs.compare(
        again.corpus(), again.fit_pool()[0], ["least-loaded"], loads=[0.5], replications=1,
        controls=False,
    )  # fmt: skip
    assert right.sentence in study.foremost
    other = log(300)
    assert backtested.said_of(other.sha256) == ""
    assert "believe" not in " ".join(
        rs.replay(other.corpus(), other.fit_pool()[0], "least-loaded").foremost
    )


@pytest.mark.slow
def test_slow_times_are_said_to_be_off() -> None:
    frame = table(4000)
    hour = (frame["arrived_at"] // 300 % 3 == 2).to_numpy()
    frame["latency"] *= np.where(hour, 2.5, 1.0)
    found = rs.read_log(frame).backtest(replications=8, seed=-1)
    windows = {c.figure: c for c in found.coverage if c.agent == "all"}["latency mean"]
    assert (windows.verdict, windows.held < 0.5) == ("too narrow", True)
    assert any(each.startswith("calls are slower at some times than at") for each in found.causes)
    assert found.believe > 0.1


@pytest.mark.slow
def test_a_drift_is_named_with_its_size() -> None:
    frame = table(4000)
    frame.loc[2900:, "latency"] *= 1.5
    found = rs.read_log(frame).backtest(replications=8, seed=-1)
    said = next(each for each in found.causes if each.startswith("the held-out calls take"))
    assert 1.4 < float(said.split()[4]) < 1.6
    assert 0.25 < found.off < 0.4
    assert found.believe > found.off


@pytest.mark.slow
def test_the_same_question_is_answered_once() -> None:
    calls = log(200)
    found = calls.backtest(replications=3)
    assert calls.backtest(replications=3) is found
    assert calls.whatif(["cheapest"], replications=3).backtest is found
    for other in ({"seed": 1}, {"at": 0.6}, {"concurrency": 50}):
        again = calls.backtest(**{"replications": 3, **other})
        assert again.to_dict() != found.to_dict(), other
    assert log(200).backtest(replications=3).to_dict() == found.to_dict()


@pytest.mark.slow
def test_few_calls_are_said_to_be_too_few() -> None:
    found = log(200).backtest(replications=3)
    assert math.isnan(found.off)
    assert math.isnan(found.believe)
    assert found.sentence.startswith("on your traffic it cannot be said how far the simulator is")
    assert found.sentence.endswith("and 100 or more are needed for a p95")
    assert found.to_dict()["off"] is None
    assert "too few calls for rolling windows" in repr(found)
    answer = compose_backtest(found).answer
    assert [title for title, lines in answer.parts if lines] == [
        *("How sure", "What it rests on", "What to do next")
    ]
    assert dict(answer.parts)["What to do next"] == (
        "Use a longer log, or hold out more of it (`--at 0.5`).",
    )


@pytest.mark.slow
def test_what_is_left_out_is_counted() -> None:
    frame = table(1500)
    frame.loc[:1, "agent"] = "rare"
    frame.loc[1450:, "agent"] = "late"
    frame.loc[100:120, "status"] = "cached"
    frame.loc[200:209, "agent"] = ""
    found = rs.read_log(frame.drop(columns="cost")).backtest(replications=3)
    said = " | ".join(found.notes)
    assert "21 calls answered from a cache: left out" in said
    assert "10 calls without an agent's name: left out" in said
    assert "50 held-out calls of late: fewer than 5 answered calls to fit, left out" in said
    assert "no costs with token counts are recorded of any agent: none are predicted" in said
    assert "cost" not in {each.figure for each in found.figures}
    assert found.pool.ids == ("big", "small") or set(found.pool.ids) == {"big", "small"}


@pytest.mark.parametrize("column", ["arrived_at", "agent", "latency"])
def test_a_log_that_lacks_a_column_is_refused_with_the_remedy(column: str) -> None:
    lacking = rs.read_log(table(100).drop(columns=column))
    with pytest.raises(CorpusError, match=rf"has no {column} \(.*--map {column}=COLUMN$"):
        lacking.backtest()


def test_a_trace_without_service_is_refused_in_whole() -> None:
    trace = pd.DataFrame(
        {"TIMESTAMP": ["2023-11-16 18:15:46", "2023-11-16 18:15:50"], "ContextTokens": [9, 8],
         "GeneratedTokens": [2, 3]}
    )  # fmt: skip
    with pytest.raises(CorpusError) as refused:
        rs.read_log(trace).backtest()
    assert str(refused.value) == (
        "frame: has no agent (which model it was of; agent==NAME where all are of one) and no "
        "latency (how long it took), and cannot be compared with a replay; name what "
        "has it: --map agent=COLUMN,latency=COLUMN"
    )


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"replications": 2}, SimulationError, "three or more are needed"),
        ({"seed": 0.5}, SimulationError, "seed"),
        ({"at": 1.5}, CorpusError, "expected a share above 0 and below 1"),
    ],
)
def test_settings_out_of_range_are_refused(
    settings: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        log(100).backtest(**settings)


def test_a_call_without_a_length_has_one_of_its_agent() -> None:
    frame = table(60)
    frame["output_tokens"] = np.where(frame["agent"] == "big", 7.0, 9.0)
    frame.loc[frame["status"] != "ok", "status"] = "ok"
    frame.loc[:9, ["status", "output_tokens"]] = ["failed", 0.0]
    corpus = calls_as_tasks(rs.read_log(frame))
    own = np.where(frame["agent"] == "big", 7.0, 9.0)
    assert corpus.tasks["output_tokens"].tolist() == own.tolist()
    assert not corpus.outcomes["cost"].size
