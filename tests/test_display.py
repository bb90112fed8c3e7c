"""What shows itself fits a terminal of 80 columns, and a notebook."""

from typing import Any

import pytest

from routingsim.agents import Agent, AgentPool, load_agents
from routingsim.corpora.datasets import load_corpus
from routingsim.display import card, fitted, markdown_table, middle, wrapped
from routingsim.evaluation.compare import compare
from routingsim.policies import make_policy, recipes
from routingsim.routing import TaskRouter
from routingsim.simulation.replay import replay

LONG = "threshold:low=0.25,medium=0.55,spill=1"


def crowd(size: int) -> AgentPool:
    return AgentPool(
        tuple(
            Agent(
                id=f"organisation/a-model-with-a-long-name-{k:03}",
                name=f"<b>Model</b> مرحبا {k}",
                cost=0.001,
                latency=1.0 + k % 3,
                strengths=("code, or so", "x=1, y=2"),
                concurrency=2,
                queue_limit=100,
            )
            for k in range(size)
        )
    )


def shown() -> list[Any]:
    few, many = load_agents(), crowd(300)
    tasks = load_corpus("tasks")
    run = replay(tasks, few, LONG, arrivals="poisson:3")
    return [
        few, few[0], many, many[0], tasks, run,
        replay(None, many, "least-loaded", tasks=500, arrivals="poisson:100"),
        compare(tasks, few, [LONG, "least-loaded"], loads=[0.3], replications=2),
        TaskRouter(few).route("<script>alert(1)</script> سؤال 😀 \u202e" + "<b>" * 66_000),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def things() -> list[Any]:
    return shown()


@pytest.mark.slow
def test_text_fits_a_terminal(things: list[Any]) -> None:
    for thing in things:
        text = repr(thing)
        assert max(map(len, text.splitlines())) <= 80, text


def test_html_is_small_and_has_no_scripts(things: list[Any]) -> None:
    for thing in things:
        html = thing._repr_html_()
        assert len(html.encode()) < 50_000
        assert "<script" not in html
        assert "<b>Model" not in html


@pytest.mark.parametrize("size", [5, 60])
def test_every_policy_shows_itself(size: int) -> None:
    pool = load_agents() if size == 5 else crowd(size)
    alone = {"static": f"static:{pool.ids[0]}"}
    needing_more = {"file", "logged", "blend", "kmeans", "knn", "logistic", "ridge", "utility"}
    for name in sorted(set(recipes()) - needing_more):
        policy = make_policy(pool, alone.get(name, name))
        assert len(policy._repr_html_().encode()) < 50_000
        assert len(repr(policy)) <= 80


def test_an_agent_can_be_read_back(things: list[Any]) -> None:
    for agent in (things[1], things[3]):
        assert eval(repr(agent)) == agent


def test_a_markdown_table_is_escaped_and_aligned() -> None:
    rows = [["a|b", "1.5"], ["<i>two\nlines</i>", "-"]]
    assert markdown_table(["agent", "cost ($)"], rows).splitlines() == [
        r"| agent | cost (\$) |",
        "| --- | ---: |",
        r"| a\|b | 1.5 |",
        r"| \<i\>two lines\</i\> | - |",
    ]
    both_left = markdown_table(["x", "y"], [], left=(0, 1))
    assert both_left == "| x | y |\n| --- | --- |"


def test_plots_lead() -> None:
    run = replay(None, tasks=50, arrivals="poisson:3")
    assert [name for name in dir(run) if name.startswith("plot_")] == [
        "plot_frontier", "plot_latency", "plot_queue", "plot_usage",
    ]  # fmt: skip


def test_names_are_cut_only_where_they_must() -> None:
    assert middle("abcdefghijk", 10) == "abcde…hijk"
    rest = " " * 60
    assert fitted(["short"], lambda names: names[0] + rest) == "short" + rest
    cut = fitted(["a-name-of-thirty-characters-abc"], lambda names: names[0] + rest)
    assert len(cut) == 79
    assert max(map(len, wrapped("word " * 50).splitlines())) <= 79


def test_notes_of_a_card_stand_below_it_but_for_the_first() -> None:
    shown = card("title", "<table></table>", ["below <b>"], first=["above <i>"])
    assert shown.index("title") < shown.index("above &lt;i&gt;") < shown.index("<table>")
    assert shown.index("<table>") < shown.index("<li>below &lt;b&gt;</li>")
    assert "<p>" not in card("title", "<table></table>", ["below"])
    long = card("title", "", ["x" * 700], first=["y" * 700])
    assert "x" * 599 + "…" in long
    assert "y" * 599 + "…" in long
