"""The command line, as a user meets it."""

import json
import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pytest
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from routingsim.cli import EXAMPLES, app, main

COMMANDS = [command.callback.__name__ for command in app.registered_commands if command.callback]
KEYS = {"tasks", "throughput", "latency_mean", "latency_p50", "latency_p95", "latency_p99",
        "wait_mean", "cost", "quality"}  # fmt: skip
AGENT_KEYS = {"agent", "tasks", "share", "utilisation", "wait_mean", "latency_p50", "latency_p95",
              "cost", "quality"}  # fmt: skip


def routingsim(*arguments: str | Path, **options) -> subprocess.CompletedProcess[str]:
    """Run the command as a process of its own."""
    command = [sys.executable, "-c", "from routingsim.cli import main; main()"]
    return subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, timeout=120, **options
    )


def invoke(*arguments: str | Path):
    """Run the command in this process; what it raises is raised."""
    return CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A corpus of the user's own."""
    path = tmp_path / "mine.csv"
    pd.DataFrame(
        {"id": ["a", "b", "c"], "text": ["Hi", "Prove, please: 1 < 2!", "What is NaN?"],
         "outcomes.gpt-4.quality": [1.0, 0.5, None]}
    ).to_csv(path, index=False)  # fmt: skip
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_helps(command: str) -> None:
    result = invoke(command, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.stdout
    assert f" {command} " in result.stdout


@pytest.mark.parametrize("example", [each for some in EXAMPLES.values() for each in some])
def test_examples_in_the_help_can_be_typed(example: str) -> None:
    words = shlex.split(example.partition(" < ")[0].partition(" | ")[0])
    command, *given = words[words.index("routingsim") + 1 :]
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    with group.commands[command].make_context(command, given) as context:
        assert context.command_path == command
    assert " ".join(example.split()) in " ".join(invoke(command, "--help").stdout.split())


def test_help_lists_every_command() -> None:
    said = invoke("--help").stdout
    assert all(command in said for command in COMMANDS)


def test_json_is_one_document_and_nothing_else(own: Path) -> None:
    ran = routingsim("replay", own, "-p", "threshold", "-p", "static:gpt-4", "--arrivals",
                     "poisson:2", "--seed", "1", "--json", "-")  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("\n") == 1
    said = json.loads(ran.stdout, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert (said["corpus"], said["tasks"], said["seed"]) == ("mine", 3, 1)
    assert [each["policy"] for each in said["policies"]] == ["threshold", "static:gpt-4"]
    for each in said["policies"]:
        assert each["overall"].keys() >= KEYS
        assert [agent["agent"] for agent in each["agents"]] == [
            "claude", "gpt-4", "gemini", "llama", "mistral",
        ]  # fmt: skip
        assert all(agent.keys() >= AGENT_KEYS for agent in each["agents"])
    only = said["policies"][1]
    assert only["overall"]["quality"] == 0.75
    assert only["agents"][0]["latency_p50"] is None
    assert isinstance(only["overall"]["tasks"], int)


def test_a_seed_repeats_byte_for_byte(own: Path) -> None:
    command = ("replay", own, "-p", "random", "--arrivals", "gamma:2,cv=2", "--json", "-")
    first, again, other = (routingsim(*command, "--seed", seed).stdout for seed in "112")
    assert first
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("replay", "no-such-corpus"), "no-such-corpus: no such file"),
        (("replay", "tasks", "--policy", "nope"), "no policy 'nope'"),
        (("replay", "tasks", "--policy", "static:nobody"), "no agent 'nobody'"),
        (("replay", "tasks", "--agents", "nowhere.toml"), "nowhere.toml: cannot be read"),
        (("replay", "tasks", "--arrivals", "often"), "no arrivals 'often'"),
        (("replay", "tasks", "--outage", "gpt-4:5"), "AGENT:DOWN:UP"),
        (("replay", "tasks", "--warm-up", "2"), "warm_up=2"),
        (("route", "hello", "--policy", "nope"), "no policy 'nope'"),
        (("agents", "nowhere.toml"), "cannot be read as an agents file"),
        (("replay", "tasks", "--policy", "treshold"), "did you mean 'threshold'?"),
        (("replay", "tasks", "--policy", "static:gpt4"), "did you mean 'gpt-4'?"),
        (("replay", "tasks", "--arrivals", "poisson:100:"), "poisson:100:"),
        (
            ("replay", "tasks", "--live", "--speed", "0"),
            "speed=0.0: must be a finite number above 0",
        ),
        (("replay", "tasks", "--live", "--start", "nan"), "start=nan: must be a finite number"),
        (("replay", "tasks", "--json", "/nowhere/x.json"), "/nowhere/x.json: cannot be written"),
    ],
)
def test_an_error_is_one_line_and_exit_code_2(
    arguments: tuple[str, ...],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["routingsim", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    assert err.startswith("error: ")
    assert said in err


def test_an_error_of_a_process_is_the_same() -> None:
    ran = routingsim("replay", "no-such-corpus")
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (2, "", 1)


def test_bad_records_are_skipped_and_counted(own: Path) -> None:
    with own.open("a") as file:
        file.write("a,again,\nd,,2.5\n")
    refused = routingsim("replay", own, "--arrivals", "poisson:2")
    assert refused.returncode == 2
    assert "mine.csv:5" in refused.stderr
    ran = routingsim("replay", own, "--arrivals", "poisson:2", "--on-error", "skip", "--json", "-")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["tasks"] == 3
    assert "2 records were skipped" in ran.stderr


def test_files_are_written_beside_and_renamed(own: Path) -> None:
    report, document = own.parent / "report.html", own.parent / "result.json"
    for path in (report, document):
        path.write_text("old")
    before = report.stat().st_ino, document.stat().st_ino
    result = invoke("replay", own, "--arrivals", "poisson:2", "--report", report,
                    "--json", document)  # fmt: skip
    assert result.exit_code == 0
    assert report.read_text(encoding="utf-8").lower().startswith("<!doctype html>")
    assert json.loads(document.read_text())["tasks"] == 3
    assert report.stat().st_ino != before[0]
    assert document.stat().st_ino != before[1]
    assert sorted(each.name for each in own.parent.iterdir()) == [
        "mine.csv", "report.html", "result.json",
    ]  # fmt: skip


def test_a_table_for_people(own: Path) -> None:
    said = invoke("replay", own, "--arrivals", "poisson:2", "-p", "cheapest").stdout
    assert re.search(r"^cheapest\s+stable: highest offered load", said, re.MULTILINE)
    for word in ("gpt-4", "all", "share", "p95 s", "quality"):
        assert word in said


def test_a_reader_that_leaves_is_no_crash() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-c", "from routingsim.cli import main; main()", "policies"]
    with os.fdopen(write, "w") as pipe:
        ran = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, text=True, timeout=60)
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
    assert "BrokenPipe" not in ran.stderr


def test_one_task_from_standard_input() -> None:
    ran = routingsim("route", "-", "--json", "-", input="What is 2 + 2?")
    said = json.loads(ran.stdout)
    assert said["complexityScore"]["factors"]["length"] == len("What is 2 + 2?")
    assert said["agent"]["name"] in said["reason"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("agents", ["gpt-4", "mistral", "Capacity", "paretobandit"]),
        ("policies", ["threshold", "least-loaded", "static"]),
        ("corpora", ["tasks", "gsm8k", "ROUTINGSIM_DATA"]),
    ],
)
def test_lists(command: str, words: list[str]) -> None:
    said = invoke(command).stdout
    assert all(word in said for word in words)


@pytest.mark.parametrize(
    ("named", "form", "begins"),
    [
        ("r.html", None, "<!doctype html>"),
        ("r.md", None, "# Routing report: mine"),
        ("r.json", None, "{"),
        ("r.txt", "md", "# Routing report: mine"),
        ("-", "json", "{"),
    ],
)
def test_report_in_every_form(own: Path, named: str, form: str | None, begins: str) -> None:
    path = own.parent / named if named != "-" else Path("-")
    wanted = ["--format", form] if form else []
    result = invoke("report", own, "--arrivals", "poisson:2", "-o", path, *wanted)
    text = result.stdout if named == "-" else path.read_text(encoding="utf-8")
    assert text.startswith(begins)
    assert "threshold:calibrated" in text


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


def test_the_version_is_that_of_the_package() -> None:
    assert invoke("--version").stdout == f"routingsim {version('routingsim')}\n"


def test_it_is_a_module_to_run_as_well() -> None:
    command = [sys.executable, "-m", "routingsim", "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert said.stdout == f"routingsim {version('routingsim')}\n"


def test_who_interrupts_it_while_it_is_loading_sees_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt")
    said = subprocess.run(
        [sys.executable, "-m", "routingsim", "agents"],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert (said.returncode, said.stderr) == (130, b"")
