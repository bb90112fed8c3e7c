"""The report on replays in blocks, beside that on the same tasks in memory."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.errors import SimulationError
from routingsim.evaluation.decision import of_streams
from routingsim.report import compose, compose_streams, render, write_report
from routingsim.report.document import Document, Table
from routingsim.report.stream_report import StreamedReplay

POLICIES = ("static:a", "random")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path, n, drawn = tmp_path / "many", 30_000, np.random.default_rng(1)
    path.mkdir()
    frame = pd.DataFrame({"id": np.arange(n).astype(str), "text": "say hello"})
    frame["tenant"] = np.where(np.arange(n) % 3, "acme", "b")
    for name in ("a", "b"):
        frame[f"outcomes.{name}.quality"] = drawn.integers(0, 2, n).astype(float)
    for k in (0, 1):
        frame.iloc[k * 15_000 : (k + 1) * 15_000].to_parquet(path / f"{k}.parquet")
    return path


def agent(name: str, **fields: Any) -> rs.Agent:
    given = {"id": name, "name": name, "cost": 0.01, "latency": 1.0, "service": "exponential"}
    return rs.Agent(**(given | fields))


POOL = rs.AgentPool((agent("a"), agent("b", latency=2.0, cost=0.02, queue_limit=0, concurrency=2)))


def tables(document: Document) -> dict[str, Table]:
    """The tables of a report, by their captions."""
    blocks = [block for section in document.sections for block in section.blocks]
    return {block.caption: block for block in blocks if isinstance(block, Table)}


@pytest.mark.slow
def test_it_shows_what_a_report_in_memory_shows(folder: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {"arrivals": "poisson:1", "seed": 3, "discipline": "fair"}
    corpus, stream = rs.load_corpus(folder), rs.stream_corpus(folder)
    found = [rs.replay_stream(stream, POOL, each, objective=3.0, **given) for each in POLICIES]
    whole = [rs.replay(corpus, POOL, policy, **given) for policy in POLICIES]
    slo = {"mean": 2.0, "goodput": 0.4}
    mine = compose_streams(found, date="2026-01-02", slo=slo, quality=0.4)
    its = tables(compose(whole, date="2026-01-02", objective=3.0))
    ours = tables(mine)
    assert [column.name for column in ours["All tasks"].columns[-2:]] == [
        "in time",
        "right answers in time",
    ]
    for row, other in zip(ours["All tasks"].rows, its["All tasks"].rows, strict=True):
        assert row[-2:] == other[-2:]
        assert 0.3 < row[-1] < 0.6 < row[-2] < 1
    asked = of_streams(found, slo=slo).alternatives[0].figures["goodput"]
    assert asked.low < asked.mean == ours["All tasks"].rows[0][-1] < asked.high
    for caption in (
        "All tasks",
        "Agents under random",
        "Waits and latencies under random",
        "Tenants under random",
    ):
        assert ours[caption].columns == its[caption].columns
        for row, other in zip(ours[caption].rows, its[caption].rows, strict=True):
            assert row[0] == other[0]
            for one, two in zip(row[1:], other[1:], strict=True):
                # Quantiles are within their bound, and errors of loads are those of blocks.
                assert one == two if isinstance(one, str) else one == pytest.approx(two, rel=2e-3)
    assert mine.answer.answer.startswith("Keep static:a, with ")
    page = render(mine, "html")
    assert page.count("<svg") == 9
    assert "percentiles within 0.1% of the exact ones" in page
    assert "replay_stream(stream_corpus(" in page
    assert "seed=3, objective=3) for policy" in page
    assert "In time: answered within 3 s, of the tasks after the warm-up." in page
    stored = json.loads(found[0].report(tmp_path / "r.json").read_text(encoding="utf-8"))
    assert stored["policies"][0]["overall"]["tasks"] == 30_000
    again: dict[str, Any] = given | {"seed": 4, "objective": 3.0}
    other = rs.replay_stream(stream, POOL, "random", **again)
    with pytest.raises(SimulationError, match=r"static:a and random cannot be .* differ in seed"):
        compose_streams([found[0], other])
    assert isinstance(other, StreamedReplay)
    with pytest.raises(SimulationError, match="keeps no tasks to explore"):
        write_report([other], tmp_path / "r.html", explore=True)
