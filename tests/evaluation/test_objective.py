"""The latency objective of a study that gives none."""

import pandas as pd
import pytest

import routingsim as rs


@pytest.mark.slow
def test_an_agent_that_nobody_uses_does_not_move_the_objective() -> None:
    quick = rs.Agent(id="quick", name="Q", cost=0.0, latency=2.0)
    other = rs.Agent(id="other", name="O", cost=0.0, latency=3.0)
    slow = rs.Agent(id="slow", name="S", cost=9.0, latency=60.0)
    corpus = rs.Corpus.from_frame(pd.DataFrame({"id": range(200), "text": "x"}))
    given = {"loads": 0.3, "replications": 2, "controls": False}

    def objective(pool: tuple[rs.Agent, ...], *policies: str) -> float:
        return rs.compare(corpus, rs.AgentPool(pool), policies, **given).settings.objective

    two = ("static:quick", "static:other")
    assert objective((quick, other), *two) == 9.0
    assert objective((quick, other, slow), *two) == 9.0
    assert objective((quick, other, slow), "static:quick") == 6.0
    assert objective((quick, other, slow), "static:quick", "static:slow") == 180.0
