"""Fewer tasks than there are: a random sample, or a window of the log that is named."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.corpora.corpus import Corpus
from routingsim.simulation.task_choice import clock, drawn_rows

POOL = rs.AgentPool((rs.Agent(id="a", name="A", cost=0.0, latency=1.0),))


def corpus_of(labels: list[str], times: list[float] | None = None) -> Corpus:
    columns = {"id": [f"t{k}" for k in range(len(labels))], "text": "x", "category": labels}
    frame = pd.DataFrame(columns | ({} if times is None else {"arrived_at": times}))
    return Corpus.from_frame(frame, "log")


def test_a_sample_has_each_category_in_its_share(seed: int) -> None:
    corpus = corpus_of(["code"] * 60 + ["mail"] * 30 + [""] * 10)
    rows = drawn_rows(corpus, 10, seed)
    assert (np.diff(rows) > 0).all()
    assert (sum(rows < 60), sum((rows >= 60) & (rows < 90)), sum(rows >= 90)) == (6, 3, 1)
    assert rows.tolist() == drawn_rows(corpus, 10, seed).tolist()
    assert rows.tolist() != drawn_rows(corpus, 10, seed + 1).tolist()
    assert drawn_rows(corpus, 100, seed).tolist() == list(range(100))


def test_each_task_has_the_same_chance_though_categories_are_small(seed: int) -> None:
    corpus = corpus_of([f"c{k // 3:02d}" for k in range(60)])  # 20 of 3 tasks, quotas of 0.45
    counts = Counter(k for s in range(2000) for k in drawn_rows(corpus, 9, seed + s).tolist())
    # Binomial with 2,000 draws of chance .15: a standard deviation of 16.
    assert all(abs(counts[k] - 300) < 5 * 16 for k in range(60))


@pytest.mark.slow
def test_fewer_tasks_of_a_file_sorted_by_subject_are_drawn_from_all_of_it() -> None:
    corpus = corpus_of(["code"] * 200 + ["mail"] * 100)
    runs = [
        rs.replay(corpus, POOL, policy, arrivals="poisson:1", tasks=30, seed=4)
        for policy in ("static:a", "random")
    ]
    said = "30 of 300 tasks of log, drawn at random, in proportion to their categories"
    for run in runs:
        assert run.to_frame()["category"].value_counts().to_dict() == {"code": 20, "mail": 10}
        assert said in run.notes
    assert runs[0].task_ids().tolist() == runs[1].task_ids().tolist()
    whole = rs.replay(corpus, POOL, "static:a", arrivals="poisson:1")
    assert not any("drawn" in note for note in whole.notes)
    study = rs.compare(
        corpus, POOL, "static:a", loads=0.3, replications=2, tasks=30, controls=False
    )
    assert said in study.notes


@pytest.mark.slow
def test_fewer_tasks_of_a_log_are_a_window_that_is_named() -> None:
    hour = 3600.0
    night = [k * hour / 5 for k in range(20)]  # one in 12 minutes until 03:48
    day = [4 * hour + k * 60.0 for k in range(480)]  # one a minute from 04:00 to 11:59
    corpus = corpus_of(["mail"] * 20 + ["mail", "code"] * 240, night + day)
    run = rs.replay(corpus, POOL, "static:a", tasks=20)
    assert run.task_ids().tolist() == [f"t{k}" for k in range(20)]
    said = (
        "a window: the first 20 of 500 of log, 00:00–03:48 of 11:59, at 0.00139 tasks/s (0.0116 "
        "over all); category mix differs by 48 points (code: 0 % for 48 % over all)"
    )
    assert said in run.notes
    study = rs.compare(
        corpus, POOL, "static:a", arrivals="corpus", loads=0.3, replications=2, tasks=20,
        controls=False,
    )  # fmt: skip
    assert said in study.notes
    whole = rs.replay(corpus, POOL, "static:a")
    assert not any("window" in note for note in whole.notes)
    later = rs.replay(corpus, POOL, "static:a", arrivals=f"corpus:start={4 * hour:g}", tasks=60)
    assert any("the tasks 21 to 80 of 500 of log, 04:00–04:59 of" in n for n in later.notes)
    traced = rs.replay(corpus, POOL, "static:a", arrivals=rs.Trace([0.0, 60.0, 90.0]), tasks=2)
    assert "a window: the first 2 arrivals of trace:<3 times>, 00:01:00 long" in traced.notes


def test_clocks_have_days_and_short_records_seconds() -> None:
    assert [clock(x, 7199.0) for x in (0, 61, 7199)] == ["00:00:00", "00:01:01", "01:59:59"]
    assert [clock(x, 2e5) for x in (0, 86399, 86400, 1e5)] == [
        *("00:00", "1 d 00:00", "1 d 00:00", "1 d 03:47"),
    ]
