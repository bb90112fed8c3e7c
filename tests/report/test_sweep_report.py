"""The report on a sweep: the answer in each case, how sure it is, and what has no figure."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import routingsim as rs
from routingsim.errors import SimulationError
from routingsim.evaluation.sweeps.cells import METRICS
from routingsim.evaluation.sweeps.plan import Plan
from routingsim.report import write_report
from routingsim.report.document import Facts, Table
from routingsim.report.sweep_report import compose_sweep

from .sweeps import plan_of

LATENCY = list(METRICS).index("latency_mean")
VARY = {"policy": ["threshold", "fastest", "random"], "load": [0.2, 0.6]}


def swept(vary: dict[str, Any], *latencies: float | None, **row: Any) -> rs.Sweep:
    """A sweep with these mean latencies of its cells, each ± 0.1 over four replications.

    None is a cell whose queues grow.
    """
    plan, rows = plan_of(vary), {}
    for k, (key, mean) in enumerate(zip(plan.keys, latencies, strict=True)):
        made = dict.fromkeys((n for m in METRICS for n in (m, f"{m}_hw")), np.nan)
        figures = np.full((4, len(METRICS)), np.nan)
        rows[key] = made | {"status": "done", "stability": "growing"} | row
        if mean is not None:
            figures[:, LATENCY] = mean + np.random.default_rng(k).normal(0.0, 0.1, 4)
            rows[key] |= {"latency_mean": mean, "latency_mean_hw": 0.1, "stability": "steady"} | row
        rows[key]["figures"] = figures.tolist()
    return rs.Sweep(plan, rows)


def said(found: rs.Sweep) -> tuple[str, str, dict[str, str]]:
    answer = compose_sweep(found).answer
    return answer.asked, answer.answer, {name: " ".join(lines) for name, lines in answer.parts}


def test_one_setting_is_first_everywhere() -> None:
    asked, answer, parts = said(swept(VARY, 1, 2, 9, 9, 5, None))
    assert asked == "Which policy has the lowest mean latency at each value of load?"
    assert answer == (
        "Use threshold in each of 2 conditions: a mean latency of 1.00 ± 0.10 s at load 0.2 and "
        "a mean latency of 2.00 ± 0.10 s at load 0.6."
    )
    assert parts["How sure"].startswith(
        "threshold at load 0.2 is better than 2 of 2 others. threshold at load 0.6 is better than "
        "1 of 1 other. Verdicts are by paired t over 4 replications"
    )
    assert (
        "5 of 6 cells (83 %) have a figure; left out: 1 with queues that grow."
        in parts["What it rests on"]
    )
    assert "None has a figure" not in parts["What it rests on"]
    assert "replications=" not in parts["What to do next"]
    parts = said(swept(VARY, 1, None, 9, None, 5, None))[2]
    assert parts["What it rests on"].endswith("None has a figure at load 0.6.")


def test_who_is_shown_worse_nowhere_or_else_it_depends() -> None:
    # random is a little behind the first at each load, less than can be told.
    _, answer, parts = said(swept(VARY, 1, 9, 9, 1, 1.01, 1.01))
    assert answer.startswith("Use random: in none of the 2 conditions is it shown to be worse")
    assert (
        "threshold at load 0.2 is better than 1 of 2 others and cannot be told from random"
        in (parts["How sure"])
    )
    assert "`replications=16` halves the intervals" in parts["What to do next"]
    _, answer, _ = said(swept(VARY, 1, None, 9, 1, 5, 5))
    assert answer == "It depends: use threshold at load 0.2 and fastest at load 0.6."


def test_conditions_alone_and_settings_alone() -> None:
    asked, answer, parts = said(swept({"load": [0.2, 0.6]}, 1, 3))
    assert asked == "What is the effect of load on mean latency?"
    assert "rs.compare(" not in parts["What to do next"]
    assert answer == (
        "A mean latency of 1.00 ± 0.10 s at load 0.2 and a mean latency of 3.00 ± 0.10 s at load "
        "0.6."
    )
    assert parts["How sure"] == ""
    asked, answer, _ = said(swept({"policy.low": [0.2, 0.3]}, 4, 2))
    assert asked == "Which value of policy.low has the lowest mean latency?"
    assert answer == "Use policy.low 0.3: a mean latency of 2.00 ± 0.10 s."


def test_nothing_of_a_condition_has_a_name() -> None:
    found = swept({"outages": ["", "gpt-4:1:5"]}, 1, 3)
    assert said(found)[1] == (
        "A mean latency of 1.00 ± 0.10 s at no outages and a mean latency of 3.00 ± 0.10 s at "
        "outages gpt-4:1:5."
    )


@pytest.mark.parametrize(
    "given",
    [
        {"vary": VARY},
        {
            "vary": {"outages": ["", [rs.Outage("gpt-4", 1, 5)]], "policy.low": [0.2]},
            "retries": rs.Retries(attempts=3),
            "signal_delay": 2.0,
            "right": 0.7,
            "first_token_objective": 1.5,
            "common": False,
            "tasks": 90,
            "rate": 2.0,
        },
        {"vary": {"load": {"from": 0.2, "to": 0.8, "log": True}}, "design": "sobol", "points": 4},
        {"vary": {"seed": {"from": 2, "to": 9}}, "design": "latin-hypercube", "points": 3},
    ],
)
def test_the_call_to_repeat_it_is_the_same_sweep(given: dict[str, Any]) -> None:
    plan = plan_of(**given)
    run = next(each for each in compose_sweep(rs.Sweep(plan, {})).sections if each.id == "run")
    (facts,) = (block for block in run.blocks if isinstance(block, Facts))

    def sweep(corpus: str, pool: None, policy: str = "threshold", **again: Any) -> Plan:
        return plan_of(**again)

    call = dict(facts.items)["To repeat"]
    found = eval(call, {**vars(rs), "sweep": sweep, "load_corpus": str, "pool": None})
    assert found.digest == plan.digest


def test_many_conditions_have_no_table_each() -> None:
    vary = {"policy": ["threshold", "fastest"], "load": [k / 100 for k in range(1, 27)]}
    found = swept(vary, *[1.0] * 26, *[9.0] * 26)
    best = next(each for each in compose_sweep(found).sections if each.id == "best")
    assert len(best.blocks) == 24
    more = "Without a table here: 2 more conditions; `sweep.best(at=…)` gives one each."
    assert best.text[-1] == more


def test_a_wide_interval_asks_for_more_runs() -> None:
    more = "Run `replications=16`: an interval is wider than its figure."
    narrow, wide = (swept(VARY, 1, None, 9, None, 5, None, latency_mean_hw=hw) for hw in (0.5, 0.6))
    assert more not in said(narrow)[2]["What to do next"]
    assert more in said(wide)[2]["What to do next"]


def test_without_a_figure_there_is_no_answer() -> None:
    failed = {"status": "failed", "error": "PolicyError: no", "traceback": "…"}
    found = swept({"policy.low": [0.2, 0.3]}, None, None, **failed)
    document = compose_sweep(found)
    assert document.answer.answer.startswith("No cell has a figure")
    assert "tried again" in dict(document.answer.parts)["What to do next"][0]
    assert [each.id for each in document.sections] == ["cells", "failed", "run", "glossary"]
    (errors,) = next(each for each in document.sections if each.id == "failed").blocks
    assert isinstance(errors, Table)
    assert [row[-1] for row in errors.rows] == ["PolicyError: no"] * 2


def test_means_over_an_axis_are_of_the_same_settings() -> None:
    summary = compose_sweep(swept(VARY, 1, 2, 9, 9, 5, None)).summary
    assert summary.findings == (
        "Mean latency: 1 at threshold to 9 at fastest, on average over 1 setting of the rest.",
        "Mean latency: 5 at load 0.2 to 5.5 at load 0.6, on average over 2 settings of the rest.",
    )


def rows_of(found: rs.Sweep) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of the tables of a report, by caption."""
    blocks = [block for section in compose_sweep(found).sections for block in section.blocks]
    return {block.caption: list(block.rows) for block in blocks if isinstance(block, Table)}


def test_tables_have_costs_of_a_thousand_tasks_and_the_best_first() -> None:
    found = rows_of(swept({"policy.low": [0.2, 0.3]}, 4, 2, cost=0.002, cost_hw=0.0005))
    best = found["All cells with a figure"]
    assert [row[0] for row in best] == ["0.3", "0.2"]
    assert [row[0] for row in found["Cells"]] == ["0.2", "0.3"]
    assert best[0][1] == pytest.approx((2.0, 0.5))
    assert best[0][2] == (2.0, 0.1)


def test_many_conditions_and_cells_are_counted() -> None:
    loads = [round(0.01 * k, 2) for k in range(1, 62)]
    vary = {"policy": ["threshold", "random"], "load": loads[:6]}
    *_, last = said(swept(vary, *([1] * 6), *([9] * 6)))
    assert "more condition" not in last["How sure"]
    assert "rs.compare(" in last["What to do next"]
    vary["load"] = loads[:7]
    *_, last = said(swept(vary, *([1] * 7), *([9] * 7)))
    assert "The tables below have 1 more condition." in last["How sure"]
    for count in (60, 61):
        found = compose_sweep(swept({"load": loads[:count]}, *[1.0] * count))
        cells = next(each for each in found.sections if each.id == "cells")
        (table,) = cells.blocks
        assert isinstance(table, Table)
        assert len(table.rows) == 60
        assert ("has 1 more" in cells.text[0]) is (count == 61)


def test_best_at_one_value() -> None:
    found = swept(VARY, 1, 2, 9, 1, 5, 5)
    assert found.best(at={"load": 0.6})["policy"].tolist() == ["fastest", "threshold", "random"]
    with pytest.raises(SimulationError, match="shown to meet load = 0"):
        found.best(at={"load": 0.7})
    with pytest.raises(SimulationError, match="at='loads': choose one of policy, load; did you"):
        found.best(at={"loads": 0.6})


@pytest.mark.slow
def test_it_is_written_in_every_format(tmp_path: Path) -> None:
    found = swept(VARY, 1, 2, 9, 9, 5, None)
    for suffix in ("html", "md", "json", "ipynb"):
        text = write_report(found, tmp_path / f"x.{suffix}").read_text(encoding="utf-8")
        assert "Use threshold in each of 2 conditions" in text
