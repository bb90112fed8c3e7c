"""A plan in TOML: what it says, and one line on what is wrong with it."""

from pathlib import Path
from typing import Any

import pytest

import routingsim as rs
from routingsim.errors import SimulationError
from routingsim.evaluation.sweeps.plan_file import read_plan
from routingsim.simulation.faults import Outage, Retries

PLAN = """
corpus = "tasks.csv"
agents = "default"
policy = "threshold"
design = "sobol"
points = 8
attempts = 2
outages = ["gpt-4:60:120"]

[vary]
load = [0.3, 0.6]
policy.low = {from = 0.1, to = 0.4}
"pool.gpt-4.concurrency" = [2, 4]
pool.llama.latency = [1.0]
"""


def test_a_plan_as_arguments(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(PLAN)
    (tmp_path / "tasks.csv").touch()
    assert read_plan(path) == {
        "corpus": str(tmp_path / "tasks.csv"),
        "pool": "default",
        "policy": "threshold",
        "design": "sobol",
        "points": 8,
        "retries": Retries(2),
        "outages": [Outage("gpt-4", 60, 120)],
        "results": tmp_path / "mine.results",
        "vary": {
            "load": [0.3, 0.6],
            "policy.low": {"from": 0.1, "to": 0.4},
            "pool.gpt-4.concurrency": [2, 4],
            "pool.llama.latency": [1.0],
        },
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("corpus = 'x'\nseeds = 3", "no field 'seeds'; a plan has corpus, agents, policy, vary, "
         "design, points, arrivals, load, rate, tasks, replications, seed, common, objective, "
         "first_token_objective, right, service, attempts, retries, outages, changes, "
         "signal_delay, routers, hedge, tenants, discipline, results; did you mean 'seed'?"),
        ("corpus = 'x'", "vary is missing; a plan needs corpus and vary"),
        ("[vary]\nload = [1]", "corpus is missing; a plan needs corpus and vary"),
        ("corpus = 3", "found 3, text is needed"),
        ("points = true", "found True, a whole number is needed"),
        ("load = 'high'", "found 'high', a number is needed"),
        ("vary = 3", "found 3, a table is needed"),
        ("corpus = 'x'\n[vary]", "nothing is varied; add lists, as load = [0.3, 0.6]"),
        ("corpus = ", "is no TOML file ("),
        ("[vary]\npolicy = ['a']\npolicy.low = [1]",
         'put names with dots in quotes: "policy.low" = [0.2]'),
    ],
)  # fmt: skip
def test_what_is_no_plan(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(SimulationError) as caught:
        read_plan(path)
    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)
    with pytest.raises(SimulationError, match=r"none\.toml: cannot be read \(No such file"):
        read_plan(tmp_path / "none.toml")


def test_a_plan_takes_all_conditions_that_a_replay_takes(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(
        "corpus = 'tasks'\nreplications = 2\ntasks = 30\nchanges = ['gpt-4:2:price=2']\n"
        "outages = ['gpt-4:5:9']\nsignal_delay = 0.5\ndiscipline = 'fair'\n"
        "tenants = ['gold:share=0.5,weight=2', 'free:share=0.5']\n"
        "retries = {attempts = 2, on = ['failed', 'timed_out'], cooldown = '3:60:30'}\n"
        "[vary]\nrouters = [1, 4]\nhedge = ['2s', 'p95']\n"
    )
    given: Any = read_plan(path)
    assert given["changes"] == [rs.Change("gpt-4", 2.0, price=2.0)]
    assert given["retries"] == rs.Retries(2, on=("failed", "timed_out"), cooldown="3:60:30")
    frame: Any = rs.sweep(**given | {"results": None}, progress=False).to_frame()
    assert frame["routers"].tolist() == [1, 1, 4, 4]
    assert frame["hedge"].tolist() == ["2s", "p95"] * 2
    assert (frame["fairness"] > 0).all()
    assert (frame["status"] == "done").all()
    path.write_text("corpus = 'tasks'\nretries = {attempt = 2}\n[vary]\nload = [0.5]\n")
    with pytest.raises(
        SimulationError, match=r"retries: no field 'attempt'; .*did you mean 'attempts'"
    ):
        read_plan(path)
