"""The commands help, end cleanly, and say an error in one line."""

import os
import re
import shlex
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from routingsim.__main__ import main as enter
from routingsim.cli import EXAMPLES, app, main

from .running import invoke, routingsim, set_width

COMMANDS = [
    command.callback.__name__.replace("_", "-")
    for command in app.registered_commands
    if command.callback
]


@pytest.mark.slow
@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_helps(command: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    set_width(width, monkeypatch)
    result = invoke(command, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.stdout
    assert f" {command} " in result.stdout
    cut = [line for line in result.stdout.splitlines() if re.search(r"[a-z]…", line)]
    assert not cut, "a name or an example is cut"


@pytest.mark.slow
@pytest.mark.parametrize("example", [each for some in EXAMPLES.values() for each in some])
def test_examples_in_the_help_can_be_typed(example: str) -> None:
    words = shlex.split(example.partition(" < ")[0].partition(" | ")[0])
    command, *given = words[words.index("routingsim") + 1 :]
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    with group.commands[command].make_context(command, given) as context:
        assert context.command_path == command
    assert " ".join(example.split()) in " ".join(invoke(command, "--help").stdout.split())


@pytest.mark.parametrize("width", [40, 80])
def test_help_lists_every_command(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    set_width(width, monkeypatch)
    said = invoke("--help").stdout
    assert {*COMMANDS, "--install-completion"} <= {*said.split()}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("replay", "no-such-corpus"), "no-such-corpus: no such file"),
        (("replay", "tasks", "--policy", "nope"), "no policy 'nope'"),
        (("replay", "tasks", "--policy", "static:nobody"), "no agent 'nobody'"),
        (("replay", "tasks", "--agents", "nowhere.toml"), "nowhere.toml: cannot be read"),
        (("replay", "tasks", "--arrivals", "often"), "no arrivals 'often'"),
        (("replay", "tasks", "--retry-on", "fail"), "too_long; did you mean 'failed'?"),
        (("replay", "tasks", "--outage", "gpt-4:5"), "AGENT:DOWN:UP"),
        (("replay", "tasks", "--warm-up", "2"), "warm_up=2"),
        (("log-size", "--agents", "4", "--explore", "2"), "0 < explore <= 1"),
        (("log-size", "--agents", "4", "--explore", "0.01"), "explore=0.04 or more is needed"),
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
        (("replay", "x" * 300), "xx: File name too long; name another file"),
        (("policies", "--json", "x" * 300), "xx: File name too long; name another file"),
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


@pytest.mark.slow
def test_an_error_of_a_process_is_the_same() -> None:
    ran = routingsim("replay", "no-such-corpus")
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (2, "", 1)


@pytest.mark.slow
def test_a_reader_that_leaves_is_no_crash() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-c", "from routingsim.cli import main; main()", "policies"]
    with os.fdopen(write, "w") as pipe:
        ran = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, text=True, timeout=60)
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
    assert "BrokenPipe" not in ran.stderr


def test_the_version_is_that_of_the_package() -> None:
    assert invoke("--version").stdout == f"routingsim {version('routingsim')}\n"


@pytest.mark.slow
def test_it_is_a_module_to_run_as_well() -> None:
    command = [sys.executable, "-m", "routingsim", "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert said.stdout == f"routingsim {version('routingsim')}\n"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "replay",
            "interrupted: no result was written; run it again; fewer --tasks take less time",
        ),
        ("whatif", "interrupted: only w.json was written; run it again"),
        ("backtest", "interrupted: only w.json and w.html were written; run it again"),
        ("agents", "interrupted: no result was written; run it again"),
    ],
)
def test_who_interrupts_a_command_is_told_which_results_there_are(
    name: str,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def interrupted(**given: object) -> None:
        if name in ("whatif", "backtest"):
            assert given["json_to"] == Path("w.json")
            Path("w.json").touch()
        if name == "backtest":
            Path("w.html").touch()
        try:
            raise KeyboardInterrupt
        finally:
            if name == "agents":
                raise AssertionError("a library fails as it cleans up")

    monkeypatch.chdir(tmp_path)
    Path("w.html").touch()
    os.utime("w.html", (0, 0))  # of an earlier run

    group = get_command(app)
    assert isinstance(group, TyperGroup)
    command = group.commands[name]
    command.callback = interrupted
    both = ["tasks", "--json", "w.json", "--report", "w.html"]
    given = {"whatif": both, "backtest": both, "agents": []}
    context = command.make_context(name, given.get(name, ["tasks"]))
    with pytest.raises(KeyboardInterrupt):
        command.invoke(context)
    assert " ".join(capsys.readouterr().err.split()) == said


def test_an_interrupt_while_a_module_in_c_is_imported_comes_after_it(tmp_path: Path) -> None:
    """What makes an ImportError of it, as some do, does not meet it."""
    (tmp_path / "module.py").write_text(
        "import os, signal, time\n"
        "try: os.kill(os.getpid(), signal.SIGINT); time.sleep(0.1)\n"
        "except KeyboardInterrupt: raise ImportError\n"
    )
    code = (
        "import sys, time, types, routingsim.__main__\n"
        "from importlib.machinery import ExtensionFileLoader\n"
        "class Loader(ExtensionFileLoader):\n"
        " def exec_module(self, module): import module\n"
        "def run():\n"
        " Loader('x', 'x.so').exec_module(None)\n"
        " print('imported', flush=True)\n time.sleep(60)\n"
        "sys.modules['routingsim.cli'] = types.SimpleNamespace(main=run)\n"
        "routingsim.__main__.main()"
    )
    said = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        timeout=30,
    )
    assert (said.returncode, said.stdout, said.stderr) == (130, "imported\n", "interrupted\n")


def test_where_there_are_no_timers_it_runs_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []
    monkeypatch.delattr(signal, "setitimer")
    monkeypatch.setitem(sys.modules, "routingsim.cli", SimpleNamespace(main=lambda: ran.append(1)))
    before = signal.getsignal(signal.SIGINT)
    enter()
    assert ran == [1]
    assert signal.getsignal(signal.SIGINT) is before
