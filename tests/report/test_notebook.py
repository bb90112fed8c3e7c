"""The report as a notebook."""

import json
from pathlib import Path

import nbformat
import pytest
from typer.testing import CliRunner

from routingsim.cli import app
from routingsim.errors import RoutingSimError, SimulationError
from routingsim.report import write_notebook


def parameters(path: Path) -> dict[str, object]:
    """What the tagged cell sets, and nothing else does."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    (cell,) = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", ())]
    names: dict[str, object] = {}
    exec(cell.source, names)
    del names["__builtins__"]
    return names


def test_only_what_is_given_is_filled_in(tmp_path: Path) -> None:
    plain = parameters(write_notebook(tmp_path / "plain.ipynb", {}))
    given = {"corpus": "a 'b'  # \"c\"\n", "policies": ["cheapest"], "tasks": 7}
    assert parameters(write_notebook(tmp_path / "given.ipynb", given)) == plain | given


def test_it_is_written_without_outputs(tmp_path: Path) -> None:
    text = write_notebook(tmp_path / "n.ipynb", {}).read_text(encoding="utf-8")
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    assert cells
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)


@pytest.mark.slow
def test_the_command_fills_in_every_parameter_and_the_cells_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.csv").write_text("id,text\na,Hi\nb,مرحبا 😀\nc,1 < 2\n", encoding="utf-8")
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path)
    command = ["report", "mine.csv", "-p", "random", "-p", "cheapest", "--arrivals", "poisson:2",
               "--outage", "gpt-4:1:2", "--attempts", "2", "--seed", "3", "--notebook",
               "--dates", "day first", "-o", "out/n.ipynb"]  # fmt: skip
    CliRunner().invoke(app, command, catch_exceptions=False)
    found = parameters(tmp_path / "out" / "n.ipynb")
    assert found == {
        "corpus": "../mine.csv", "policies": ["random", "cheapest"], "agents": "default",
        "arrivals": "poisson:2", "tasks": None, "seed": 3, "service": None,
        "retries": {"attempts": 2}, "signals": {}, "changes": [],
        "outages": ["gpt-4:1:2"], "warm_up": None, "on_error": "raise", "dates": "day first",
    }  # fmt: skip
    monkeypatch.chdir(tmp_path / "out")
    names: dict[str, object] = {}
    for cell in nbformat.read("n.ipynb", as_version=4).cells:
        if cell.cell_type == "code":
            exec(cell.source, names)


@pytest.mark.parametrize("more", [["--format", "md"], ["-o", "-"]])
def test_a_notebook_has_one_form(more: list[str]) -> None:
    with pytest.raises(SimulationError, match="and allows neither --format"):
        CliRunner().invoke(app, ["report", "tasks", "--notebook", *more], catch_exceptions=False)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["-p", "treshold"], "did you mean 'threshold'"),
        (["--arrivals", "often"], "no arrivals 'often'"),
        (["--outage", "gpt-5:1:2"], "gpt-5"),
    ],
)
def test_what_cannot_run_is_not_written(wrong: list[str], said: str, tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    with pytest.raises(RoutingSimError, match=said):
        CliRunner().invoke(
            app, ["report", "tasks", *wrong, "--notebook", "-o", str(path)], catch_exceptions=False
        )
    assert not path.exists()


@pytest.mark.parametrize(
    ("arrivals", "there"),
    [
        ("trace:mine.csv", "trace:../mine.csv"),
        ("trace:mine.csv,speed=2", "trace:../mine.csv,speed=2"),
        ('trace:"mi,ne.csv",loop', 'trace:"../mi,ne.csv",loop'),
        ("poisson:1 + trace:mine.csv", "poisson:1 + trace:../mine.csv"),
    ],
)
def test_a_trace_is_found_from_the_folder_of_the_notebook(
    arrivals: str, there: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("mine.csv", "mi,ne.csv"):
        (tmp_path / name).write_text("id,text,arrived_at\na,Hi,0\nb,Ho,1\n", encoding="utf-8")
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path)
    command = ["report", "mine.csv", "-p", "random", "--arrivals", arrivals, "--notebook",
               "-o", "out/n.ipynb"]  # fmt: skip
    CliRunner().invoke(app, command, catch_exceptions=False)
    assert parameters(tmp_path / "out" / "n.ipynb")["arrivals"] == there
