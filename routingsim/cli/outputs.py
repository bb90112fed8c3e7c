"""Files that a command writes: checked as the command line is read, before any work."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer

from routingsim.errors import RoutingSimError
from routingsim.files import check_writable

TABLE = (".csv", ".parquet", ".jsonl")
PAGE = (".html", ".htm", ".pdf", ".md", ".json", ".ipynb")


def file_option(
    said: str,
    suffixes: tuple[str, ...],
    *names: str,
    stdout: bool = False,
    folder: bool = False,
) -> Any:
    """An option that names a file to write, with one of these suffixes; with none, any.

    ``stdout`` allows ``-``, which stands for standard output; ``folder`` a name without a suffix,
    which the command checks.
    """

    def checked(param: typer.CallbackParam, value: Path | None) -> Path | None:
        own = value is not None and folder and (value.is_dir() or not value.suffix)
        if value is not None and not own and not (stdout and value == Path("-")):
            check_output(value, param.opts[0], suffixes)
        return value

    return typer.Option(
        *names, metavar="FILE", help=said, rich_help_panel="Output", callback=checked
    )


def check_output(path: Path, option: str, suffixes: tuple[str, ...] = ()) -> None:
    """Refuse a file that cannot be written, or whose suffix is none of these.

    Raises
    ------
    RoutingSimError
        Which names the option and what is allowed; or if no browser is there to print a PDF.
    """
    suffix = path.suffix.lower()
    if suffixes and suffix not in suffixes and not path.is_dir():
        *most, last = suffixes
        allowed = f"{', '.join(most)} or {last}" if most else last
        raise RoutingSimError(
            f"{path}: {option} needs a file that ends in {allowed}, found {suffix or 'no suffix'}"
        )
    if suffix == ".pdf" and suffix in suffixes:
        from routingsim.report.pdf import find_browser  # loads the report only for a PDF

        find_browser()
    check_writable(path)


def check_distinct(outputs: Iterable[Path], inputs: Iterable[str]) -> None:
    """Refuse two outputs in one file, and an output that would replace an input.

    Raises
    ------
    RoutingSimError
        Which names the file.
    """
    taken = {
        Path(each).resolve(): "is read by this command, which would replace it" for each in inputs
    }
    for path in outputs:
        if path == Path("-"):
            continue
        if said := taken.get(path.resolve()):
            raise RoutingSimError(f"{path}: {said}; name another file")
        taken[path.resolve()] = "is named for two outputs"
