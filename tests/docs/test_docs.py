"""What the pages show runs; what is generated is current; the site builds; nothing is left out."""

import importlib.util
import os
import re
import shlex
import signal
import subprocess
import sys
import zlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

import routingsim
from routingsim import evaluation, policies

from ..axe import overflow, screens, violations
from ..cli.running import in_process

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def script(name: str) -> ModuleType:
    """A script of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pages = script("pages")
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
RUN = ("routingsim", "python", "cat", "head", "printf")
"""Programs whose commands are run. ``make TARGET`` must be a target; others must say "not run"."""


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with this interpreter's programs on the PATH."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=named)
def test_blocks_of_a_page_run(page: Path, desk: Path) -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in pages.blocks(page):
        if block.not_run:
            continue
        if block.language == "python":
            pages.run_python(block, namespace)
        elif block.language == "console":
            run_console(block, desk)
    if plt := sys.modules.get("matplotlib.pyplot"):
        plt.close("all")


def run_console(block: Any, desk: Path) -> None:
    """Run each command of a block, and hold its output to what is shown below it."""
    for command, shown in commands(block.code):
        where = f"{named(block.page)}:{block.line}: $ {command}"
        program = command_of(command)
        if program == "make":
            check_target(command, where)
            continue
        assert program in RUN, f"{where}\nnot one of {RUN}: give the block a reason not to run"
        code, said = typed(command) if is_plain(command) else run(command, desk)
        # An error that is shown is meant; any other is not.
        assert code == 0 or "error:" in "\n".join(shown), f"{where}\n{said}"
        missing = [line for line in shown if not is_said(line, said)]
        assert missing == [], f"{where}\nsaid\n{said}"


def is_plain(command: str) -> bool:
    """Whether it is one command of ours that starts no server, without a pipe or a variable."""
    words = shlex.split(command)
    return words[0] == "routingsim" and not {"|", "<", ">", "serve", "--live"} & set(words)


def typed(command: str) -> tuple[int, str]:
    """Exit code and output of a plain command, run in this process."""
    ran = in_process(*shlex.split(command)[1:])
    return ran.returncode, ran.stdout + ran.stderr


def run(command: str, desk: Path) -> tuple[int, str]:
    """Exit code and output of a command; a server is interrupted once it says where it listens."""
    shell = ["bash", "-c", f"set -o pipefail; exec env {command}" if serves(command) else command]
    environ = os.environ | {"PYTHONUNBUFFERED": "1", "HTTP_PORT": "0", "WEBSOCKET_PORT": "0"}
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(shell, cwd=desk, env=environ, **both) as process:
        said = ""
        if serves(command):
            last = "WebSocket" if "bridge" in command else "HTTP API"
            assert process.stdout is not None
            while (line := process.stdout.readline()) and not line.startswith(last):
                said += line
            said += line
            process.send_signal(signal.SIGINT)
        said += process.communicate(timeout=120)[0]
    return process.returncode, said


def serves(command: str) -> bool:
    return "routingsim serve" in command


def commands(code: str) -> list[tuple[str, list[str]]]:
    """Each command, lines that end in a backslash joined, with the output shown below it."""
    found: list[tuple[str, list[str]]] = []
    for line in code.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            # Two spaces and "#" begin a comment.
            found.append((" ".join(line[2:].split("  #")[0].split()), []))
        elif line.strip():
            assert found, f"output before any command: {line!r}"
            found[-1][1].append(line)
    return found


def command_of(command: str) -> str:
    """The program, after what is set for it."""
    return next(word for word in shlex.split(command) if not re.match(r"[A-Z_]+=", word))


def is_said(line: str, said: str) -> bool:
    """Whether a line shown is in the output: spaces apart, and "..." or "…" for anything."""
    parts = [re.escape(" ".join(part.split())) for part in re.split(r"\.\.\.|…", line)]
    return re.search(".*".join(parts), " ".join(said.split()), re.DOTALL) is not None


def check_target(command: str, where: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    for word in shlex.split(command, comments=True)[1:]:
        assert "=" in word or word in targets, f"{where}\nthe Makefile has no target {word!r}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_no_block_escapes_by_its_language(page: Path) -> None:
    found = {(block.language, block.line) for block in pages.blocks(page)}
    assert not {each for each in found if each[0] in {"py", "pycon", "sh", "bash", "shell"}}, (
        f"{named(page)}: what can be run is `python` or `console`"
    )


@pytest.mark.slow
def test_what_is_generated_is_current() -> None:
    drawn, reference, logs = script("architecture"), script("policies"), script("logs")
    assert drawn.PICTURE.read_text(encoding="utf-8") == drawn.picture(), "run `make docs`"
    assert drawn.PAGE.read_text(encoding="utf-8") == drawn.page(), "run `make docs`"
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page(), "run `make docs`"
    assert logs.PAGE.read_text(encoding="utf-8") == logs.page(), "run `make docs`"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built without a warning."""
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going"]
    folders = ["-d", str(folder / "doctrees"), str(DOCS), str(folder / "site")]
    done = subprocess.run([*build, *folders], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


@pytest.mark.slow
@pytest.mark.browser
def test_anybody_can_read_the_site_on_any_screen(site: Path, chromium: str) -> None:
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"]) as browser,
    ):
        page = browser.new_page()
        page.goto((site / "index.html").as_uri())
        for screen in screens(page):
            assert (screen, violations(page), overflow(page)) == (screen, [], 0)


@pytest.mark.slow
def test_site_documents_every_public_name(site: Path) -> None:
    documented = inventory(site / "objects.inv")
    front = {name: getattr(routingsim, name) for name in vars(routingsim)["__all__"]}
    public = {
        f"{each.__module__}.{name}" if "Error" in name else f"routingsim.{name}"
        for name, each in front.items()
        if not isinstance(each, ModuleType)
    }
    public |= {f"routingsim.evaluation.{name}" for name in vars(evaluation)["__all__"]}
    public |= {f"routingsim.policies.{name}" for name in policies.__all__ if name not in front}
    assert sorted(public - documented) == []


def inventory(path: Path) -> set[str]:
    """Names of the Python objects that a site documents."""
    head = path.read_bytes().split(b"\n", 4)
    lines = zlib.decompress(head[4]).decode().splitlines()
    return {line.split(" ")[0] for line in lines if " py:" in line}
