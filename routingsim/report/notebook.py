"""The report as a notebook that can be run and edited."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from routingsim.errors import SimulationError
from routingsim.files import bundled, written


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
    """The line ``name = value  # comment`` with the value given for that name, if any."""
    name = line.partition(" = ")[0]
    if name not in parameters:
        return line
    _, mark, said = line.rstrip("\n").partition("  # ")
    return f"{name} = {parameters[name]!r}{mark}{said}" + "\n" * line.endswith("\n")
