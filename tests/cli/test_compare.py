"""``routingsim compare``: resumed after a kill, its errors in one line, its runs written."""

import _thread
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import routingsim as rs
from routingsim.cli import main

from ..evaluation.samples import same
from .running import in_process, invoke

COMMAND = ["compare", "tasks", "-p", "threshold", "-p", "thompson"]
COMMAND += ["--population", "these tasks"]


KILLED = """
import os, signal, sys
import routingsim as rs

def kill(done: int, of: int) -> None:
    if done:
        os.kill(os.getpid(), signal.SIGKILL)

rs.compare("tasks", policies=["threshold", "thompson"], replications=2, loads=[0.3, 0.9],
           tasks=60, population="these tasks", resume=sys.argv[1], progress=kill, n_jobs=1)
"""


@pytest.mark.slow
def test_what_a_killed_process_kept_is_gone_on_from(tmp_path: Path) -> None:
    path = tmp_path / "study.jsonl"
    ran = subprocess.run([sys.executable, "-c", KILLED, path], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (-signal.SIGKILL, "")
    kept = path.read_bytes().count(b"\n")
    assert 1 <= kept < 8
    given: dict[str, Any] = {"policies": ["threshold", "thompson"], "replications": 2, "tasks": 60}
    given |= {"population": "these tasks", "loads": [0.3, 0.9]}
    seen: list[tuple[int, int]] = []
    resumed = rs.compare("tasks", **given, resume=path, progress=lambda *at: seen.append(at))
    assert seen[0] == (kept, 8)
    assert same(resumed, rs.compare("tasks", **given))


def _until(true: Callable[[], bool]) -> None:
    patience = time.monotonic() + 60
    while not true() and time.monotonic() < patience:
        time.sleep(0.005)


def test_the_command_says_an_error_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "study.jsonl"
    path.write_text("milk\n")
    monkeypatch.setattr(sys, "argv", ["routingsim", *COMMAND, "--json", "-", "--resume", str(path)])
    with pytest.raises(SystemExit) as stopped:
        main()
    said = capsys.readouterr()
    assert stopped.value.code == 2
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "study.jsonl:1: not a line of a checkpoint" in said.err


def test_the_command_prints_one_json_document(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--json", "-", "--loads", "0.5", "--replications", "2"]
    monkeypatch.setattr(sys, "argv", ["routingsim", *COMMAND[:4], *more])
    with pytest.raises(SystemExit) as stopped:
        main()
    document = json.loads(capsys.readouterr().out)
    assert stopped.value.code == 0
    assert list(document["loads"]) == ["0.5"]
    assert document["rates"]["0.5"] == pytest.approx(document["capacity"] / 2)


@pytest.mark.slow
def test_tasks_schedule_and_runs_are_written(own: Path) -> None:
    tasks, trace, runs = (own.parent / name for name in ("t.csv", "t.json", "r.csv"))
    invoke("replay", own, "-p", "random", "-p", "cheapest", "--arrivals", "poisson:2",
           "--tasks-to", tasks, "--trace-to", trace)  # fmt: skip
    assert pd.read_csv(tasks)["policy"].tolist() == ["random"] * 3 + ["cheapest"] * 3
    events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    assert sum(event["ph"] == "X" for event in events) == 6
    invoke("compare", own, "-p", "random", "--loads", "0.5", "--replications", "2",
           "--runs-to", runs)  # fmt: skip
    assert pd.read_csv(runs)["policy"].tolist().count("random") == 2


@pytest.mark.slow
def test_the_command_says_of_which_tasks_and_who_is_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    start = ["routingsim", "compare", "tasks", "-p", "random", "-p", "least-loaded"]
    rest = ["--no-controls", "--loads", "0.5", "--replications"]

    def said(*more: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [*start, *rest, *more])
        with pytest.raises(SystemExit) as stopped:
            main()
        shown = capsys.readouterr()
        return int(stopped.value.code or 0), " ".join(shown.out.split()), shown.err

    code, out, _ = said("4")
    assert (code, "on tasks like these, and hold together" in out) == (0, True)
    assert "At load 0.5 least-loaded is first of the policies by mean latency. load 0.5" in out
    assert "±" in out
    assert "nan" not in out
    code, out, _ = said("4", "--population", "these tasks")
    assert code == 0
    assert "verdicts compare with random, on these tasks, and hold together" in out
    assert "of these 542 tasks alone, and say nothing of others like them" in out
    code, out, _ = said("1")
    assert code == 0
    assert "At load 0.5 the best by mean latency cannot be told apart: one run." in out
    assert "±" not in out
    assert "nan" not in out
    assert "better" not in out
    code, out, err = said("4", "--population", "all")
    assert (code, out) == (2, "")
    assert err == "error: population='all': 'tasks like these' or 'these tasks' is needed\n"


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt, even where a shell runs the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


# Ctrl-C may come between the opening of a file and its ``with``: Python closes it, and says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("kept", [True, False])
def test_ctrl_c_says_how_to_go_on(kept: bool, tmp_path: Path) -> None:
    path = tmp_path / "study.jsonl"
    command = ["compare", "tasks", "-p", "threshold", "--replications", "40"]
    ended = threading.Event()

    def interrupt() -> None:
        _until(lambda: ended.is_set() or not kept or (path.exists() and path.stat().st_size > 0))
        if not kept:
            ended.wait(0.5)
        if not ended.is_set():
            _thread.interrupt_main()

    waiting = threading.Thread(target=interrupt)
    waiting.start()
    try:
        ran = in_process(*command, *(["--resume", path] if kept else []))
    finally:
        ended.set()
        waiting.join()
    assert (ran.returncode, ran.stdout) == (130, "")
    assert "Traceback" not in ran.stderr
    said = ran.stderr.splitlines()[-1]
    if kept:
        assert said == f"interrupted: finished cells are saved in {path}; run it again to resume"
        assert path.read_text().count("\n") >= 1
    else:
        assert said == (
            "interrupted: no result was written; run it again with --resume FILE, which keeps "
            "finished cells"
        )


@pytest.mark.slow
def test_outages_and_retries_are_those_of_python(own: Path) -> None:
    given = ["compare", own, "-p", "static:gpt-4", "--no-controls", "--loads", "0.5", "--json", "-",
             "--replications", "3"]  # fmt: skip
    faults = ["--outage", "gpt-4:0:1e6", "--attempts", "2", "--backoff", "0.5",
              "--backoff-factor", "3", "--jitter", "0.25", "--retry-on", "failed",
              "--retry-on", "timed_out", "--retry-budget", "0.9", "--retry-reserve", "4",
              "--no-retry-after", "--fallback-all", "--cooldown", "1:5:2",
              "--signal-delay", "0.5", "--routers", "2"]  # fmt: skip
    found = json.loads(in_process(*given, *faults).stdout)
    study = rs.compare(
        own, None, "static:gpt-4", loads=0.5, replications=3, controls=False,
        retries=rs.Retries(
            2, 0.5, 3.0, "all", ("failed", "timed_out"), 0.25, 0.9, 4.0, False, "1:5:2"
        ),
        outages=rs.Outage("gpt-4", 0, 1e6), signal_delay=0.5, routers=2,
    )  # fmt: skip
    assert found["loads"] == json.loads(json.dumps(study.to_dict()["loads"]))
    assert found["loads"] != json.loads(in_process(*given).stdout)["loads"]


SMALL = ["compare", "tasks", "--tasks", "60", "--loads", "0.3", "--replications", "2"]


@pytest.mark.slow
def test_it_ends_with_the_decision_and_its_report_begins_with_it(tmp_path: Path) -> None:
    path, notebook = tmp_path / "study.json", tmp_path / "study.ipynb"
    asked = [
        "-p",
        "cheapest",
        "-p",
        "least-loaded",
        "--slo",
        "p95=60",
        "--baseline",
        "least-loaded",
    ]
    said = " ".join(invoke(*SMALL, *asked, "--report", path).stdout.split())
    titles = ("Asked: ", "Answer: ", "How sure: ", "What it rests on: ", "What to do next: ")
    found = [said.index(title) for title in titles]
    assert found == sorted(found)
    decision = json.loads(path.read_text())["decision"]
    assert decision["baseline"] == "least-loaded"
    assert decision["targets"][0] == {"metric": "latency_p95", "bound": 60.0}
    assert f"Answer: {decision['answer']}" in said
    document = json.loads(invoke(*SMALL, *asked, "--json", "-", "--report", notebook).stdout)
    assert document["decision"] == decision
    cells = "".join("".join(c["source"]) for c in json.loads(notebook.read_text())["cells"])
    assert "['least-loaded', 'cheapest']" in cells
    assert "study.decision(slo={'p95': 60.0}, baseline='least-loaded')" in cells


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--slo", "p95"], "--slo 'p95': a metric and a bound are needed, as p95=2"),
        (["--slo", "p96=2"], "no metric 'p96' to aim at"),
        (["--quality", "-1"], "target quality_all=-1.0: a number of 0 or more is needed"),
        (["--baseline", "thresold"], "no policy 'thresold'"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_any_run(asked: list[str], said: str) -> None:
    ran = in_process(*SMALL, *asked)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert said in ran.stderr
