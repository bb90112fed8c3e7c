"""Sweeps: cells as replays, whatever they run on; what is kept, and what is refused.

``cells``, ``plan``, ``result`` and ``store`` are tested here too.
"""

import json
import resource
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import psutil
import pytest

import routingsim as rs
from routingsim.errors import AgentError, PolicyError, SimulationError
from routingsim.evaluation.cell import METRICS, measure
from routingsim.evaluation.intervals import t_interval

from ..samples import corpus, pool, typed

VARY: dict[str, Any] = {"policy.agent": ["a0", "a2"], "pool.a2.concurrency": [2, 4], "load": [0.1]}
GIVEN: dict[str, Any] = {"vary": VARY, "replications": 3, "n_jobs": 1, "objective": 5.0}


def swept(**changes: Any) -> rs.Sweep:
    return rs.sweep(corpus(), pool(), "static:a1", **{**GIVEN, **changes})


def test_a_cell_is_the_replays_of_its_setting() -> None:
    found = swept()
    assert found.to_frame()["policy.agent"].tolist() == ["a0", "a0", "a2", "a2"]
    agents = list(pool())
    agents[2] = msgspec.structs.replace(agents[2], concurrency=2)
    scene_pool = rs.AgentPool(tuple(agents))
    load = 0.1 * sum(agent.capacity for agent in agents)
    seeds = rs.compare(
        corpus(), pool(), "random", loads=0.1, replications=3, controls=False
    ).settings.seeds
    from routingsim.policies import make_policy
    from routingsim.simulation.scenario import prepare

    scene = prepare(corpus(), scene_pool, make_policy(scene_pool, "static:a2", corpus()))
    wanted = [
        measure(scene.run(rs.Poisson(load), seed=seed, order="shuffled"), 5.0, 0.5)
        for seed in seeds
    ]
    runs = found.runs.query("`policy.agent` == 'a2' and `pool.a2.concurrency` == 2")
    np.testing.assert_array_equal(runs[list(METRICS)].to_numpy(), np.array(wanted))
    row = found.to_frame().iloc[2]
    interval = t_interval(runs["latency_mean"])
    assert (row["latency_mean"], row["latency_mean_hw"]) == (interval.mean, interval.half_width)


def test_it_is_the_same_on_any_executor_and_from_any_batch() -> None:
    alone = swept().to_frame()
    for where in ({"n_jobs": 2}, {"n_jobs": None, "executor": "serial"}):
        pd.testing.assert_frame_equal(swept(**where).to_frame(), alone, check_exact=True)
    with ThreadPoolExecutor(3) as threads:
        pd.testing.assert_frame_equal(
            swept(n_jobs=None, executor=threads).to_frame(), alone, check_exact=True
        )
    one = swept(vary={**VARY, "policy.agent": ["a2"]}).to_frame()
    pd.testing.assert_frame_equal(one, alone.iloc[2:].reset_index(drop=True), check_exact=True)


def test_random_numbers_are_common_to_all_cells_or_each_cells_own() -> None:
    vary = {"policy": ["static:a1", "static:a2"], "load": [0.1]}
    for common, same in ((True, True), (False, False)):
        runs = swept(vary=vary, common=common).runs
        met: list[Any] = [runs.query("policy == @name")["span"].tolist() for name in vary["policy"]]
        assert (met[0] == met[1]) is same
    assert len(set(swept(vary={"seed": [0, 1], "load": [0.1]}).runs["span"].tolist())) == 6


def test_a_failed_cell_is_listed_and_the_rest_is_run() -> None:
    rows: list[dict[str, Any]] = []
    found = swept(vary={"policy.agent": ["a0", "nobody", "a2"]}, load=0.1, on_cell=rows.append)
    assert [row["status"] for row in rows] == ["done", "failed", "done"]
    assert rows[0]["policy.agent"] == "a0"
    assert rows[0]["cost"] == found.to_frame()["cost"][0]
    assert found.to_frame()["status"].tolist() == ["done", "failed", "done"]
    [row] = found.failed.to_dict("records")
    assert row["policy.agent"] == "nobody"
    assert row["error"].startswith("AgentError: ")
    assert row["traceback"].startswith("Traceback (most recent call last):")
    assert "  failed: policy.agent nobody: AgentError: " in repr(found)
    assert "3 cells (2 done, 1 failed)" in repr(found)


def test_policies_that_were_typed_are_told_apart_by_their_code(tmp_path: Path) -> None:
    counted: list[Any] = []
    for bound in (0.3, 0.3, 0.4):
        swept(
            vary={"policy": [typed(bound)], "load": [0.1]},
            results=tmp_path / f"{bound}",
            on_cell=counted.append,
        )
    assert len({row["cell"] for row in counted}) == len(counted) == 2


# -- what is kept --------------------------------------------------------------------------------


def test_what_has_finished_is_read_and_what_has_failed_is_run_again(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = []
    told: list[tuple[int, int]] = []
    given: dict[str, Any] = {
        "vary": {"policy.agent": ["a0", "nobody", "a2"], "load": [0.1]},
        "results": tmp_path / "kept",
        "on_cell": rows.append,
        "progress": lambda *at: told.append(at),
    }
    first = swept(**given)
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    again = swept(**given)
    assert [row["policy.agent"] for row in rows] == ["a0", "nobody", "a2", "nobody"]
    assert told[4:] == [(2, 3), (3, 3)]
    pd.testing.assert_frame_equal(first.to_frame(), again.to_frame(), check_exact=True)
    table = pd.read_parquet(tmp_path / "kept")
    assert table["policy.agent"].tolist() == ["a0", "nobody", "a2"]
    assert table["latency_p95"].tolist()[::2] == first.to_frame()["latency_p95"].tolist()[::2]
    assert sorted(p.name.partition("-")[0] for p in (tmp_path / "kept").iterdir()) == [
        "_plan.json",
        "part",
    ]


def test_a_full_disk_is_one_line_and_what_has_finished_is_kept(tmp_path: Path) -> None:
    given: dict[str, Any] = {"vary": {"load": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]}}
    rows: list[dict[str, Any]] = []
    folder = tmp_path / "kept"
    swept(vary={"load": [0.1]})  # so that nothing is compiled and kept below, which fails, too
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, hard))  # bytes of a file: two rows or so
    try:
        with pytest.raises(SimulationError) as caught:
            swept(**given, results=folder, on_cell=rows.append)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(caught.value) == (
        f"{folder}: cannot be written (File too large); what has finished is kept: correct that "
        "and run it again, or name another folder"
    )
    assert 1 <= len(rows) < 6
    whole = swept(**given, results=folder, on_cell=rows.append)
    assert [row["load"] for row in rows] == given["vary"]["load"], "each cell once"
    pd.testing.assert_frame_equal(whole.to_frame(), swept(**given).to_frame(), check_exact=True)


def test_folders_of_something_else(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    swept(results=folder)
    for changes, said in (
        ({"replications": 2}, "replications 3 there, 2 here"),
        ({"vary": {**VARY, "load": [0.2]}}, "varied "),
        ({"right": 0.9}, "right 0.5 there, 0.9 here"),
    ):
        with pytest.raises(SimulationError) as caught:
            swept(**changes, results=folder)
        assert str(caught.value).startswith(f"{folder}: holds the results of another plan ({said}")
        assert str(caught.value).endswith("); name another folder")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("milk")
    with pytest.raises(SimulationError, match="is a folder of something else; name a new one"):
        swept(results=tmp_path / "other")
    with pytest.raises(SimulationError, match=r"notes\.txt: is a file; results are kept in a fold"):
        swept(results=tmp_path / "other" / "notes.txt")
    with pytest.raises(SimulationError, match=r"cannot be written \(No such file or directory\)"):
        swept(results=tmp_path / "nowhere" / "kept")
    (folder / "part-000001.parquet").write_bytes(b"PAR1")
    with pytest.raises(SimulationError, match="remove it, and its cells are run again"):
        swept(results=folder)


LOADS: dict[str, Any] = {"load": [k / 40 for k in range(1, 13)]}

SCRIPT = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
import routingsim as rs
from tests.evaluation.samples import corpus, pool

if __name__ == "__main__":
    rs.sweep(
        corpus(), pool(), "static:a1", vary={LOADS}, replications=3, results=sys.argv[1],
        n_jobs=1, progress=False,
        on_cell=lambda row: print(row["load"], flush=True),
    )
"""


@pytest.mark.slow
def test_parent_and_workers_killed_at_any_moment_repeat_nothing(tmp_path: Path, seed: int) -> None:
    script, kept = tmp_path / "script.py", tmp_path / "kept"
    script.write_text(SCRIPT)
    dice = np.random.default_rng(seed)
    done: list[float] = []
    last = int(dice.integers(1, 6))
    command = [sys.executable, str(script), str(kept)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            done.append(float(line))
            if len(done) == last:
                process.kill()
    assert process.returncode == -signal.SIGKILL

    given: dict[str, Any] = {"vary": LOADS, "replications": 3, "n_jobs": 1}
    last = len(done) + int(dice.integers(1, 6))

    def then(row: dict[str, Any]) -> None:
        done.append(row["load"])
        if len(done) == last:
            for each in psutil.Process().children():
                if "LokyProcess" in " ".join(each.cmdline()):
                    each.kill()
                    killed.append(each.pid)

    killed: list[int] = []
    rs.sweep(
        corpus(), pool(), "static:a1", **given, results=kept, executor="processes", on_cell=then
    )
    assert killed
    assert sorted(done) == LOADS["load"], "each cell once"
    wanted = rs.sweep(corpus(), pool(), "static:a1", **given).to_frame()
    found = pd.read_parquet(kept)
    assert found["status"].tolist() == ["done"] * 12
    for name in METRICS:
        np.testing.assert_array_equal(found[name], wanted[name])


# -- what is asked, and of what --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"vary": {}}, SimulationError, "vary: nothing is varied; give lists or ranges by name, as "
         '{"load": [0.3, 0.6]}'),
        ({"vary": {"loads": [1]}}, SimulationError, "vary loads: there is no such thing; there are "
         "policy, arrivals, load, rate, seed, tasks, service, signal_delay, routers, hedge, "
         "discipline, outages, changes, tenants, policy.PARAMETER, pool.AGENT.FIELD, "
         "pool.*.FIELD, retries.FIELD; did you mean 'load'?"),
        ({"vary": {"pool.a0.slots": [1]}}, SimulationError, "vary pool.a0.slots: an agent has no "
         "field 'slots'; it has "),
        ({"vary": {"pool.a9.cost": [1]}}, AgentError, "no agent 'a9'"),
        ({"vary": {"policy.low": [1]}}, PolicyError, "static has no parameter 'low'; it has agent"),
        ({"vary": {"policy": ["treshold"]}}, PolicyError, "no policy 'treshold': there are "),
        ({"vary": {"policy": [typed(0.3)], "policy.low": [1]}}, SimulationError,
         "vary policy.low: first is no name of a policy, whose parameters could be varied"),
        ({"vary": {"load": [1], "rate": [1]}}, SimulationError, "vary: load and rate; leave one of "
         "them out"),
        ({"vary": {"load": [0.3, "a"]}}, SimulationError, "vary load: found 'a', a number above 0 "
         "is needed"),
        ({"vary": {"rate": {"from": -1, "to": 2, "steps": 3}}}, SimulationError, "vary rate: found "
         "-1, a number above 0 is needed"),
        ({"vary": {"tasks": {"from": 0.5, "to": 9}}}, SimulationError, "vary tasks: found 0.5, a "
         "whole number above 0 is needed"),
        ({"vary": {"seed": [-1, 1.5]}}, SimulationError, "vary seed: found 1.5, a whole number is "
         "needed"),
        ({"load": 0.3, "rate": 2.0}, SimulationError, "load and rate: give one of them"),
        ({"load": -1}, SimulationError, "load=-1: a number above 0 is needed"),
        ({"replications": 0}, SimulationError, "replications=0: a whole number, 1 or more, is"),
        ({"vary": [1]}, SimulationError, 'vary=[1]: lists by name are needed, as {"load": [0.5]}'),
    ],
)  # fmt: skip
def test_what_cannot_be_swept(changes: dict[str, Any], error: type, said: str) -> None:
    with pytest.raises(error) as caught:
        swept(**changes)
    assert str(caught.value).startswith(said)


def test_the_best_cells_and_bounds_that_whole_intervals_meet() -> None:
    found = swept(vary={"policy.agent": ["a0", "a1", "a2"], "load": [0.1]}, replications=4)
    frame = found.to_frame().set_index("policy.agent")
    assert found.ranked_by == "goodput"
    best = found.best("cost")
    assert best["policy.agent"].tolist() == ["a0", "a1", "a2"]
    assert best["verdict"].tolist() == ["best", "worse", "worse"]
    low: Any = frame["latency_mean"] - frame["latency_mean_hw"]
    bound = float(low["a2"])
    dear = found.best("cost", at_least={"latency_mean": bound})
    assert dear["policy.agent"].tolist() == ["a2"]
    least = min(frame["cost"]) - 1e-6
    with pytest.raises(SimulationError) as caught:
        found.best("goodput", at_most={"cost": least}, at_least={"quality": 0.5})
    assert str(caught.value) == (
        f"no cell of this sweep is shown to meet quality >= 0.5, cost <= {least:g}"
    )
    with pytest.raises(SimulationError, match=r"^no metric 'costs': there are .*mean 'cost'"):
        found.best("costs")


def test_a_cell_whose_queue_grows_has_no_figures_of_time() -> None:
    found = swept(vary={"load": [0.1, 4.0]}, tasks=400)
    frame = found.to_frame()
    assert frame["stability"].tolist() == ["steady", "growing"]
    assert np.isnan(frame["latency_p95"].tolist()).tolist() == [False, True]
    assert not frame["cost"].isna().to_numpy().any()
    assert "1 whose queues grow have no figures of time" in repr(found)


def test_as_json_and_html() -> None:
    found = swept(vary={"policy.agent": ["a0", "nobody"]}, load=0.1)
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert document["varied"] == ["policy.agent"]
    assert [row["status"] for row in document["rows"]] == ["done", "failed"]
    assert document["failed"][0]["error"].startswith("AgentError")
    assert "2 cells (1 done, 1 failed)" in found.to_html()
    assert document["rows"][1]["cost"] is None
