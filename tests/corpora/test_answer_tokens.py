"""Lengths of answers: an agent's own, the task's, and in a log those of whoever answered."""

import numpy as np
import pandas as pd

import routingsim as rs
from routingsim.corpora.answer_tokens import output_token_table

NAN = np.nan
POOL = rs.AgentPool(
    tuple(
        rs.Agent(id=name, name=name, cost=0.01, latency=1.0, output_tokens=300.0)
        for name in ("terse", "verbose", "new")
    )
)
TERSE = np.arange(40) % 2 == 0


def table(tokens: np.ndarray, **recorded: np.ndarray) -> np.ndarray:
    frame = pd.DataFrame({"id": range(40), "text": "x", "output_tokens": tokens})
    for name, quality in recorded.items():
        frame[f"outcomes.{name}.quality"] = quality
    return output_token_table(rs.load_corpus(frame), POOL)


def test_in_a_log_an_agent_writes_as_it_does_where_it_answers() -> None:
    tokens = np.where(TERSE, 60.0, 600.0) * np.where(np.arange(40) // 2 % 2, 1.5, 0.5)
    found = table(tokens, terse=np.where(TERSE, 1, NAN), verbose=np.where(TERSE, NAN, 1))
    assert found[:4].tolist() == [
        [30.0, 300.0, 30.0],
        [30.0, 300.0, 300.0],
        [90.0, 900.0, 90.0],
        [90.0, 900.0, 900.0],
    ]
    # Of the one of which nothing is recorded, the task's stand.
    assert found.mean(axis=0).tolist() == [60.0, 600.0, 330.0]


def test_tasks_that_nobody_or_few_answered() -> None:
    nobody = np.where(np.arange(40) < 4, NAN, 1.0)
    tokens = np.where(TERSE, 60.0, 600.0)
    served = np.where(TERSE, nobody, NAN), np.where(TERSE, NAN, nobody)
    found = table(tokens, terse=served[0], verbose=served[1])
    assert found[:2].tolist() == [[60.0] * 3, [600.0] * 3]  # 18 answers each are too few
    found = table(np.full(40, 100.0), terse=np.ones(40), verbose=np.ones(40))
    assert (found == 100.0).all()  # no log


def test_the_table_is_worked_out_once_for_agents_with_the_same_lengths() -> None:
    corpus = rs.load_corpus(pd.DataFrame({"id": range(3), "text": "x", "output_tokens": NAN}))
    found = output_token_table(corpus, POOL)
    assert output_token_table(corpus, rs.AgentPool(tuple(POOL))) is found
    assert not found.flags.writeable
    longer = rs.Agent(id="new", name="new", cost=0.01, latency=1.0, output_tokens=400.0)
    assert output_token_table(corpus, rs.AgentPool((longer,))).tolist() == [[400.0]] * 3
    assert output_token_table(corpus, POOL[:1]).tolist() == [[300.0]] * 3
