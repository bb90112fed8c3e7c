"""Tenants and priorities of tasks: from the corpus, from arguments, and in results."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.errors import CorpusError, SimulationError
from routingsim.simulation.tenants import Tenant, as_tenants, jain


def corpus(**columns: Any) -> rs.Corpus:
    plain = {"id": list("abcd"), "text": ["x"] * 4, "arrived_at": [0.0, 0.1, 0.2, 0.3]}
    return rs.Corpus.from_frame(pd.DataFrame({**plain, **columns}))


def pool(**given: Any) -> rs.AgentPool:
    plain = {"cost": 1.0, "latency": 1.0, "service": "deterministic", "concurrency": 1}
    return rs.AgentPool((rs.Agent(id="a", name="A", **(plain | given)),))


def test_columns_of_the_corpus_are_read_and_written() -> None:
    given = corpus(tenant=["b", "a", None, "b"], priority=[2, None, 0, 1])
    assert given.tasks["tenant"].tolist() == ["b", "a", "", "b"]
    assert given.tasks["priority"].fillna(-1).tolist() == [2, -1, 0, 1]
    again = rs.Corpus.from_frame(given.to_frame())
    assert again == given.__class__.from_frame(given.to_frame())
    assert again.tasks["tenant"].tolist() == ["b", "a", "", "b"]


@pytest.mark.parametrize("bad", [256, -1, 1.5, "urgent"])
def test_other_priorities_are_refused(bad: object) -> None:
    with pytest.raises(CorpusError, match="priority: expected a whole number from 0") as caught:
        corpus(priority=[0, 1, bad, 0])
    assert "row 3" in str(caught.value) or ":3" in str(caught.value)


def test_a_run_goes_by_the_columns() -> None:
    result = rs.replay(
        corpus(tenant=["b", "a", "", "b"], priority=[0, 2, 1, 1]), pool(discipline="priority"),
        "static:a",
    )  # fmt: skip
    assert result.log.left.tolist() == [0.0, 3.0, 1.0, 2.0]
    assert result.tenant_names == ("", "a", "b")
    assert result.work.tenant.tolist() == [2, 1, 0, 2]
    table = result.by_priority()
    assert table.index.tolist() == [0, 1, 2]
    assert table["tasks"].tolist() == [1, 2, 1]
    assert table["wait_mean"].tolist() == pytest.approx([0.0, (0.8 + 1.7) / 2, 2.9])
    tenants = result.by_tenant()
    assert tenants.index.tolist() == ["none", "a", "b"]
    assert tenants["share"].tolist() == [0.25, 0.25, 0.5]
    assert tenants["service"].tolist() == pytest.approx([0.25, 0.25, 0.5])
    assert result.fairness == pytest.approx(1 / (3 * (0.0625 + 0.0625 + 0.25)))
    frame = result.to_frame()
    assert frame["tenant"].tolist() == ["b", "a", "none", "b"]
    assert frame["priority"].tolist() == [0, 2, 1, 1]
    assert result.to_dict()["priorities"][0]["priority"] == 0
    assert "by priority: 0 25.0% of the service, mean wait 0.00 s" in " ".join(repr(result).split())


def test_a_tenants_priority_stands_where_none_is_recorded() -> None:
    given = corpus(tenant=["b", "a", "b", "a"], priority=[None, None, 9, None])
    result = rs.replay(given, pool(), "static:a", tenants=["b:priority=3", Tenant("a", weight=2)],
                       discipline="priority")  # fmt: skip
    assert result.work.priority.tolist() == [3, 0, 9, 0]
    assert result.work.weight.tolist() == [2.0, 1.0]
    assert result.pool["a"].discipline == "priority"
    assert (
        "tenants have weights, and no agent's queue goes by them: discipline is not fair"
        in result.notes
    )


def test_shares_draw_the_tenants_of_tasks_without_one() -> None:
    tenants = [Tenant("x", share=0.2), Tenant("y", share=0.8)]
    some = {"tenants": tenants, "arrivals": "poisson:0.1", "seed": 3}
    result = rs.replay(None, pool(), "static:a", tasks=20_000, **some)
    assert abs((result.work.tenant == 0).mean() - 0.2) < 0.015
    again = rs.replay(None, pool(), "static:a", tasks=10_000, **some)
    np.testing.assert_array_equal(again.work.tenant, result.work.tenant[:10_000])
    mixed = rs.replay(corpus(tenant=["z", "", "", "z"]), pool(), "static:a", tenants=tenants)
    assert [mixed.tenant_names[k] for k in mixed.work.tenant[[0, 3]]] == ["z", "z"]
    assert mixed.tenant_names == ("x", "y", "z")


def test_a_run_without_tenants_is_as_it_was() -> None:
    result = rs.replay(corpus(), pool(), "static:a", discipline="fair")
    assert result.work.tenant.size == result.work.priority.size == 0
    assert result.by_tenant().empty
    assert np.isnan(result.fairness)
    assert "discipline fair: all tasks are of one tenant, so queues are first come" in result.notes


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("x:wieght=2", "tenant 'x:wieght=2': 'wieght' is none of weight, priority, share; did you "
                       "mean 'weight'?; write NAME or NAME:weight=2,priority=1,share=0.3"),
        ("x:weight=heavy", "tenant 'x:weight=heavy': weight='heavy' is no number; write NAME or "
                           "NAME:weight=2,priority=1,share=0.3"),
        ("x:weight=0", "tenant x: weight=0.0; a number above 0 is needed, from 1e-9 to 1e9"),
        ("x:priority=256", "tenant x: priority=256; a whole number from 0 (most urgent) to 255 is "
                           "needed"),
        ("x:share=2", "tenant x: share=2.0; a share in (0, 1] is needed"),
        (["x", "x"], "tenants: 'x' occurs twice; give each tenant once"),
        (["x:share=0.5", "y:share=0.4"], "tenants: their shares sum to 0.9; 1 is needed"),
        ([3], "tenants: 3 is an int; write rs.Tenant('acme', weight=2)"),
    ],
)  # fmt: skip
def test_bad_tenants_are_refused(given: object, said: str) -> None:
    with pytest.raises(SimulationError) as caught:
        as_tenants(given)  # type: ignore[arg-type]
    assert str(caught.value) == said


def test_tenants_that_no_task_has_are_refused() -> None:
    named = corpus(tenant=["acme"] * 4)
    with pytest.raises(SimulationError, match=r"^tenant 'acm': .* did you mean 'acme'\?$"):
        rs.replay(named, pool(), "static:a", tenants="acm:weight=2")
    with pytest.raises(SimulationError, match="so shares would bind no task"):
        rs.replay(named, pool(), "static:a", tenants="x:share=1")
    with pytest.raises(SimulationError, match=r"^discipline='fare': .* did you mean 'fair'\?$"):
        rs.replay(named, pool(), "static:a", discipline="fare")


def test_tenants_are_shown_as_they_are_written() -> None:
    assert repr(Tenant("x", weight=2.0, share=0.5)) == "Tenant('x', weight=2.0, share=0.5)"
    assert Tenant.parse("x: weight = 2, share=0.5") == Tenant("x", weight=2.0, share=0.5)


def test_jains_index() -> None:
    assert jain(np.array([3.0, 3.0, 3.0])) == 1.0
    assert jain(np.array([1.0, 0.0, 0.0, 0.0])) == 0.25
    assert jain(np.array([1.0, 2.0])) == 0.9
    assert np.isnan(jain(np.zeros(2)))
