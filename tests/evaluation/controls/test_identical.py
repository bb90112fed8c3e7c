"""Controls that do as another have no row, and are named."""

import numpy as np
import pandas as pd
import pytest

import routingsim as rs

POOL = rs.AgentPool(
    (
        rs.Agent(id="cheap", name="Cheap", cost=1.0, latency=1.0),
        rs.Agent(id="dear", name="Dear", cost=9.0, latency=1.0),
    )
)


def corpus() -> rs.Corpus:
    good = np.tile([0.0, 1.0, 1.0], 20)
    return rs.Corpus.from_frame(
        pd.DataFrame(
            {
                "id": [str(k) for k in range(60)],
                "text": [f"a{k} b{k} c{k}" for k in range(60)],
                "outcomes.cheap.quality": 1 - good,
                "outcomes.dear.quality": good,
                "outcomes.cheap.cost": 0.001,
                "outcomes.dear.cost": 0.01,
            }
        )
    )


@pytest.mark.slow
def test_five_controls_that_are_the_cheapest_have_no_rows_of_their_own() -> None:
    study = rs.compare(corpus(), POOL, ["static:cheap"], loads=0.3, replications=2)
    assert set(study.names) == {"static:cheap", "random", "best-single", "oracle"}
    assert (
        "of the controls, cheapest, zero-router, shuffle, length did exactly as static:cheap: no "
        "row of their own"
    ) in study.notes
    assert set(study.in_sample) == set(study.names)
    mixed = rs.compare(corpus(), POOL, ["random"], loads=0.3, replications=2)
    assert {"cheapest", "best-single", "shuffle", "length", "oracle"} < set(mixed.names)
    assert "no row" not in " ".join(mixed.notes)
