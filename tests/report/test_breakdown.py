"""Where policies differ: orders and averages worked out by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from routingsim.agents import Agent, AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.policies.kernel import FAILED, OK
from routingsim.report.breakdown import (
    categories,
    complexity,
    disagreements,
    most_different,
    shortened,
)
from routingsim.report.document import Table, Tasks
from routingsim.report.figures import Comparison, Entry, Experiment, TaskFigures
from routingsim.report.palette import agent_colours, policy_styles
from routingsim.simulation.statistics import Interval

POOL = AgentPool(tuple(Agent(id=i, name=i, cost=1.0, latency=1.0) for i in ("small", "big")))
CORPUS = Corpus.from_frame(
    pd.DataFrame({"id": list("wxyz"), "text": ["A", "B b", "C c c", "D d d d"],
                  "category": ["code", "", "code", "maths"]})
)  # fmt: skip
NAN = np.nan


def experiment(
    load: float | None = None, *, policies: int = 2, timed: bool = True, times: int = 1
) -> Experiment:
    """Two policies, five tasks of four records, all several times: the third is drawn twice."""
    timing = (
        (np.array([1.0, 2, 3, 4, 9]), np.array([1.0, 2, 3, 4, NAN]), np.array([OK] * 4 + [FAILED]))
        if timed
        else ()
    )
    figures = (
        TaskFigures(np.array([0, 0, 0, 1, 0]), np.array([0.2, NAN, 0.4, 0.6, 0.4]),
                    np.array([0.001, 0.002, 0.003, 0.004, 0.005]), *timing),
        TaskFigures(np.array([0, 1, 1, 0, 1]), np.array([0.2, NAN, 0.9, 0.7, 0.4]),
                    np.array([0.001, 0.001, 0.001, 0.001, 0.001]), *timing),
    )  # fmt: skip
    figures = [
        replace(
            each,
            **{
                name: np.tile(values, times)
                for name, values in vars(each).items()
                if values is not None
            },
        )
        for each in figures
    ]
    entries = [
        Entry(name, False, style, 0.0, "steady", 1, 1, lambda _: Interval(0.0, 0.0), tasks)
        for name, style, tasks in zip("ab", policy_styles(2), figures, strict=True)
    ]
    at = Comparison(load, tuple(entries[:policies]), lambda *_: None)
    d_var = np.array([0.1, 0.2, 0.3, 0.4])
    rows = np.tile(np.array([0, 1, 2, 3, 2]), times)
    return Experiment(CORPUS, POOL, rows, d_var, (at,), ())


def rows(section: object) -> dict[str, list[tuple[object, ...]]]:
    """The rows of each table by its caption."""
    return {block.caption: list(block.rows) for block in section.blocks}  # type: ignore[attr-defined]


def test_by_category() -> None:
    section = categories(experiment(times=20))
    assert section is not None
    assert section.text == ()
    assert rows(section) == {
        "Median latency (s) by category": [
            ("code", 60, 2.0, 2.0), ("(none)", 20, 2.0, 2.0), ("maths", 20, 4.0, 4.0),
        ],
        "Cost (USD per 1,000 tasks) by category": [
            ("code", 60, pytest.approx(3.0), pytest.approx(1.0)),
            ("(none)", 20, pytest.approx(2.0), pytest.approx(1.0)),
            ("maths", 20, pytest.approx(4.0), pytest.approx(1.0)),
        ],
        "Mean quality (0–1) by category": [
            ("code", 60, pytest.approx(1 / 3), pytest.approx(0.5)), ("(none)", 20, None, None),
            ("maths", 20, pytest.approx(0.6), pytest.approx(0.7)),
        ],
    }  # fmt: skip
    table = section.blocks[0]
    assert isinstance(table, Table)
    assert [column.name for column in table.columns] == ["category", "tasks", "a", "b"]


def test_a_study_has_no_latency_a_task_and_names_its_load() -> None:
    for section in (
        categories(experiment(0.8, timed=False, times=20)),
        complexity(experiment(0.8, times=20)),
    ):
        assert section is not None
        assert section.text[-1] == "Means over all runs at load 0.8."
    found = categories(experiment(0.8, timed=False, times=20))
    assert found is not None
    assert list(rows(found)) == [
        "Cost (USD per 1,000 tasks) by category", "Mean quality (0–1) by category",
    ]  # fmt: skip


def test_by_complexity() -> None:
    section = complexity(experiment(times=20))
    assert section is not None
    assert rows(section)["Cost (USD per 1,000 tasks) by D_var"] == [
        ("0.100 to 0.200", 40, pytest.approx(1.5), pytest.approx(1.0)),
        ("0.300 to 0.300", 40, pytest.approx(4.0), pytest.approx(1.0)),
        ("0.400 to 0.400", 20, pytest.approx(4.0), pytest.approx(1.0)),
    ]  # fmt: skip


def test_the_most_frequent_categories() -> None:
    names = [f"c{k:02}" for k in range(21)] + ["c20"]
    frame = pd.DataFrame({"id": range(440), "text": "x", "category": names * 20}).astype(str)
    plain = experiment()
    tasks = TaskFigures(np.zeros(440, int), np.full(440, 0.5), np.full(440, 0.001))
    entry = Entry("a", False, policy_styles(1)[0], 0.0, "steady", 1, 1,
                  lambda _: Interval(0.0, 0.0), tasks)  # fmt: skip
    at = Comparison(None, (entry,), plain.last.difference)
    shown = Experiment(Corpus.from_frame(frame), POOL, np.arange(440), None, (at,), ())
    section = categories(shown)
    assert section is not None
    assert section.text == ("The 20 most frequent of 21 categories.",)
    cost = rows(section)["Cost (USD per 1,000 tasks) by category"]
    assert [row[0] for row in cost] == ["c20", *names[:19]]
    assert cost[0] == ("c20", 40, pytest.approx(1.0))
    assert complexity(shown) is None


def test_order_of_disagreement() -> None:
    agents = np.array([[0, 0, 0, 0, 0], [0, 1, 1, 1, 1], [0, 1, 2, 1, 1]])
    quality = np.array([[0.0, 0.5, NAN, 0.1, 0.5], [1.0, 0.5, NAN, 0.9, 0.5], [0.5] * 5])
    cost = np.array([[0.0, 1.0, 1.0, 1.0, 1.0], [9.0, 1.0, 1.0, 1.0, 3.0], [1.0] * 5])
    order, alike = most_different(agents, quality, cost)
    # Three agents first, then the gap of quality, then that of cost; the first not at all.
    assert order.tolist() == [2, 3, 4, 1]
    assert alike == 0.2


def test_tasks_on_which_policies_disagree() -> None:
    section = disagreements(experiment())
    assert section is not None
    assert section.text == ("All policies sent 20 % of the tasks to the same agent.",)
    (block,) = section.blocks
    assert isinstance(block, Tasks)
    # Record y, drawn twice, is shown once; x has no quality and comes last.
    assert [task.id for task in block.items] == ["y", "z", "x"]
    first = block.items[0]
    assert (first.text, first.category, first.d_var) == ("C c c", "code", 0.3)
    one, other = first.choices
    assert (one.policy, one.agent, one.colour) == ("a", "small", agent_colours(2)[0])
    assert (other.policy, other.agent, other.colour) == ("b", "big", agent_colours(2)[1])
    assert (one.status, one.latency, one.cost, one.quality) == ("", 3.0, 0.003, 0.4)
    assert block.items[2].choices[0].quality is None


def test_a_failure_is_named() -> None:
    shown = experiment()
    for entry in shown.last.policies:
        entry.tasks.quality[2:4] = 0.5  # the second draw of record y is now the most apart
        entry.tasks.cost[4] = 0.001 if entry.name == "a" else 1.0
    section = disagreements(shown)
    assert section is not None
    block = section.blocks[0]
    assert isinstance(block, Tasks)
    assert (block.items[0].id, block.items[0].choices[0].status) == ("y", "failed")


def test_disagreements_of_a_study() -> None:
    shown = experiment(0.8, timed=False)
    shown.last.policies[1].tasks.agent[2] = -1  # never run
    section = disagreements(shown)
    assert section is not None
    assert section.text == (
        "All policies sent 25 % of the tasks to the same agent.",
        "Agents are those of the first run at load 0.8; cost and quality are means over runs, in "
        "which the agent may have been another.",
    )
    block = section.blocks[0]
    assert isinstance(block, Tasks)
    assert [task.id for task in block.items] == ["z", "y", "x"]
    assert block.items[0].choices[0].latency is None
    shown.last.policies[1].tasks.agent[:] = -1
    assert disagreements(shown) is None


def test_one_policy_agrees_with_itself() -> None:
    assert disagreements(experiment(policies=1)) is None


def test_shortened() -> None:
    assert shortened("a  b\n c", 10) == "a b c"
    assert shortened("x" * 10, 10) == "x" * 10
    assert shortened("one two three four", 10) == "one two th … (18 characters)"
    assert shortened("\x00\u202e", 10) == "\ufffd\ufffd"
    assert shortened(" " * 100, 10) == "… (100 characters)"


def test_groups_of_few_tasks_are_counted_and_have_no_figures() -> None:
    section = categories(experiment(times=7))  # 21 tasks of code, and 7 of each other
    assert section is not None
    assert section.text == ("Figures of fewer than 20 tasks are left out (2 groups have so few).",)
    assert rows(section)["Mean quality (0–1) by category"] == [
        ("code", 21, pytest.approx(1 / 3), pytest.approx(0.5)),
        ("(none)", 7, None, None),
        ("maths", 7, None, None),
    ]
    few = categories(experiment(0.8))
    assert few is not None
    assert few.text == (
        "Figures of fewer than 20 tasks are left out (3 groups have so few).",
        "Means over all runs at load 0.8.",
    )
    assert rows(few) == {"Tasks by category": [("code", 3), ("(none)", 1), ("maths", 1)]}
