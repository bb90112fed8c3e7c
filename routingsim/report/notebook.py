"""The report as a notebook: for those who want to edit it."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from routingsim.errors import SimulationError
from routingsim.files import bundled, written

__all__ = ["write_notebook"]


def write_notebook(path: str | os.PathLike[str], parameters: Mapping[str, Any]) -> Path:
    """Write ``notebooks/report.ipynb`` with these parameters filled in, not yet run.

    They take the place of what the cell tagged ``parameters`` holds, the tag by which
    papermill finds it too.

    Parameters
    ----------
    path : path
        Where to.
    parameters : mapping
        Values of plain Python by name; those not given stay as they are.

    Returns
    -------
    Path
        Of the notebook.

    Raises
    ------
    SimulationError
        If the file cannot be written.
    """
    notebook = json.loads((bundled("notebooks") / "report.ipynb").read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=None)
        if "parameters" in cell["metadata"].get("tags", ()):
            lines = [_filled(line, parameters) for line in cell["source"]]
            cell["source"] = lines
    with written(path, SimulationError) as file:
        text = json.dumps(notebook, indent=1, ensure_ascii=False)
        file.write_text(text + "\n", encoding="utf-8", newline="\n")
    return Path(path)


def _filled(line: str, parameters: Mapping[str, Any]) -> str:
    """The line ``name = value  # what it is`` with the value given for that name, if any."""
    name = line.partition(" = ")[0]
    if name not in parameters:
        return line
    _, mark, said = line.rstrip("\n").partition("  # ")
    return f"{name} = {parameters[name]!r}{mark}{said}" + "\n" * line.endswith("\n")
