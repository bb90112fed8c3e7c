"""``routingsim fit`` and ``routingsim train``: what Python's functions of these names do."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.policies import load_policy

from .running import in_process


def test_fit_writes_the_pool_of_python(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    log = pd.DataFrame({"agent": ["big", "small"] * 40, "latency": rng.lognormal(0.0, 0.3, 80)})
    path, pool = tmp_path / "calls.csv", tmp_path / "mine.toml"
    log.to_csv(path, index=False)
    given = ["fit", path, "--cost", "big=0.03", "--cost", "small=0.001", "-o", pool]
    assert in_process(*given, "--concurrency", "8").returncode == 0
    wanted, _ = rs.fit_pool(log, cost={"big": 0.03, "small": 0.001}, concurrency=8)
    assert rs.load_agents(pool) == wanted
    for cost, said in [
        (["x"], "error: --cost x: one value for all agents is needed, or AGENT=VALUE for each\n"),
        (
            ["1", "2"],
            "error: --cost 1 2: one value for all agents is needed, or AGENT=VALUE for each\n",
        ),
        (["big=1"], "error: cost: nothing for agent 'small'; there is one for big\n"),
    ]:
        more = [word for each in cost for word in ("--cost", each)]
        ran = in_process("fit", path, *more, "-o", pool)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert ran.stderr.endswith(said)


@pytest.mark.slow
def test_train_writes_the_policy_of_python(tmp_path: Path) -> None:
    path = tmp_path / "learned.npz"
    given = ["train", "paretobandit", "--agents", "paretobandit", "-o", path, "-p"]
    ran = in_process(*given, "linucb", "--episodes", "2", "--seed", "7")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert ran.stderr.endswith(f"policy: {path}; use it with -p file:{path}\n")
    pool = rs.load_agents("paretobandit")
    wanted = rs.train("paretobandit", pool, "linucb", episodes=2, seed=7, progress=False)
    assert np.array_equal(load_policy(pool, path).memory, wanted.memory)
    ran = in_process(*given, "cheapest")
    assert (ran.returncode, ran.stderr.splitlines()[-1]) == (
        2, "error: cheapest does not learn: there is nothing to train",
    )  # fmt: skip
    ran = in_process(*given, "linucb", "-p", "thompson")
    assert (ran.returncode, ran.stderr) == (
        2,
        "error: train: name one policy that learns with -p, such as linucb, thompson or fs-qmix\n",
    )
