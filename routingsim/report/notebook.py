"""The report as a notebook that can be run and edited."""

import inspect
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from routingsim.errors import SimulationError
from routingsim.evaluation.compare import compare
from routingsim.files import bundled, written
from routingsim.report.document_notebook import notebook

_OURS = re.compile(r"\b(?=(?:Retries|Cooldown|Outage|Change|Hedge|Tenant)\()")


def write_notebook(path: str | os.PathLike[str], parameters: Mapping[str, Any]) -> Path:
    """Write a copy of ``notebooks/report.ipynb`` with these parameters, not yet run.

    They replace the values in the cell tagged ``parameters``, the tag that papermill uses.

    Parameters
    ----------
    path : path
        The file to write.
    parameters : mapping
        Plain Python values by name; those not given stay as they are.

    Returns
    -------
    Path
        The notebook.

    Raises
    ------
    SimulationError
        If the file cannot be written.
    """
    shipped = json.loads((bundled("notebooks") / "report.ipynb").read_text(encoding="utf-8"))
    for cell in shipped["cells"]:
        if cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=None)
        if "parameters" in cell["metadata"].get("tags", ()):
            lines = [_filled(line, parameters) for line in cell["source"]]
            cell["source"] = lines
    _write(path, json.dumps(shipped, indent=1, ensure_ascii=False) + "\n")
    return Path(path)


def write_study_notebook(
    path: str | os.PathLike[str],
    corpus: str,
    agents: str,
    policies: Sequence[str],
    options: Mapping[str, Any],
    asked: Mapping[str, Any],
) -> Path:
    """Write a notebook that repeats a study, not yet run.

    Parameters
    ----------
    path : path
        The file to write.
    corpus, agents : str
        As :func:`routingsim.load_corpus` and :func:`routingsim.load_agents` take them.
    policies : sequence of str
    options, asked : mapping
        Further arguments of :func:`routingsim.compare`, and of ``study.decision``, by name.

    Returns
    -------
    Path
        The notebook.

    Raises
    ------
    SimulationError
        If the file cannot be written.
    """
    known = inspect.signature(compare).parameters
    given = "".join(
        f"    {name}={_OURS.sub(r'rs.', repr(value))},\n"
        for name, value in options.items()
        if value != [] and repr(value) != repr(known[name].default)
    )
    wanted = ", ".join(f"{name}={value!r}" for name, value in asked.items() if value)
    cells = [
        ("markdown", "# Routing study\n\nRun all cells, then cut and add what your readers need."),
        (
            "code",
            "import routingsim as rs\n\n"
            f"corpus = rs.load_corpus({corpus!r})\npool = rs.load_agents({agents!r})",
        ),
        ("code", f"study = rs.compare(\n    corpus,\n    pool,\n    {list(policies)!r},\n{given})"),
        ("markdown", "Which policy to use, how sure that is, and what it rests on."),
        ("code", f"study.decision({wanted})"),
        ("code", "study"),
        ("markdown", "Quality and cost at the highest load, and what load does to latency."),
        ("code", "study.plot_frontier();"),
        ("code", 'study.plot_load("latency_p95");'),
        ("markdown", "Every difference from the first policy, with its interval and verdict."),
        ("code", "study.differences()"),
    ]
    shown = [
        {
            "cell_type": kind,
            "id": f"cell-{k}",
            "metadata": {},
            "source": text,
            **({"outputs": [], "execution_count": None} if kind == "code" else {}),
        }
        for k, (kind, text) in enumerate(cells)
    ]
    _write(path, notebook(shown))
    return Path(path)


def _write(path: str | os.PathLike[str], text: str) -> None:
    with written(path, SimulationError) as file:
        file.write_text(text, encoding="utf-8", newline="\n")


def _filled(line: str, parameters: Mapping[str, Any]) -> str:
    """The line ``name = value  # comment`` with the value given for that name, if any."""
    name = line.partition(" = ")[0]
    if name not in parameters:
        return line
    _, mark, said = line.rstrip("\n").partition("  # ")
    return f"{name} = {parameters[name]!r}{mark}{said}" + "\n" * line.endswith("\n")
