"""``routingsim sweep``: a plan from its file to its results, and errors in one line."""

import json
from pathlib import Path

import pandas as pd
import pytest

from .running import in_process

PLAN = """
corpus = "tasks"
policy = "static:gpt-4"
tasks = 60
replications = 2
objective = 8.0

[vary]
"policy.agent" = ["gpt-4", "claude"{more}]
load = [0.1, 0.2]
"""


@pytest.mark.slow
def test_a_plan_is_run_once_and_its_cells_are_kept(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN.format(more=""))
    found = in_process("sweep", plan, "--workers", "1")
    assert (found.returncode, found.stdout.splitlines()[0]) == (
        0,
        "Sweep of policy.agent, load: 4 cells (4 done)",
    )
    assert found.stderr.splitlines()[-1] == f"results: {tmp_path / 'plan.results'}"
    assert len(pd.read_parquet(tmp_path / "plan.results")) == 4
    again = in_process("sweep", plan, "--json", "-")
    document = json.loads(again.stdout)
    assert document["schema"] == "routingsim/sweep/1"
    assert [row["load"] for row in document["rows"]] == [0.1, 0.2, 0.1, 0.2]

    plan.write_text(PLAN.format(more=', "nobody"'))
    other = in_process("sweep", plan)
    assert other.returncode == 2
    [line] = other.stderr.splitlines()
    assert "plan.results: holds the results of another plan (varied " in line
    rows = in_process("sweep", plan, "--results", tmp_path / "b", "--cells-to", tmp_path / "b.csv")
    assert rows.returncode == 1, "two cells failed"
    assert rows.stderr.count("failed: policy.agent=nobody, load=0.") == 2
    assert len((tmp_path / "b.csv").read_text().splitlines()) == 7


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--workers", "0"], "--workers 0: 1 or more are needed"),
        (["--dask", "tcp://127.0.0.1:1", "--workers", "2"], "a cluster has the workers it has"),
        (["--dask", "local", "--processes"], "--dask and --processes: give one of them"),
    ],
)
def test_workers_that_cannot_be(options: list[str], said: str, tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN.format(more=""))
    for command in (("sweep", plan), ("compare", "tasks")):
        found = in_process(*command, *options)
        assert found.returncode == 2
        [line] = [each for each in found.stderr.splitlines() if each.startswith("error")]
        assert said in line
