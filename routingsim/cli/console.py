"""Output of the command line: tables on standard output, remarks on standard error."""

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from routingsim.files import written

if TYPE_CHECKING:  # imported when used, so that help is shown without loading the compiler
    import pandas as pd

    from routingsim.evaluation.estimate import Estimates
    from routingsim.evaluation.study import Study
    from routingsim.simulation.result import ReplayResult
    from routingsim.simulation.statistics import Interval

# Without emoji=False, rich replaces the ":100:" of "poisson:100:" by a picture.
out, err = Console(emoji=False), Console(stderr=True, emoji=False)


def one_line(text: str) -> str:
    """The text on one line, its markup escaped."""
    return escape(" ".join(text.split()))


def remark(line: str, style: str = "dim") -> None:
    """Print a line on standard error."""
    err.print(line, style=style, highlight=False, markup=False, soft_wrap=True)


def progress(items: Sequence[Any], unit: str) -> Iterator[Any]:
    """Iterate with a progress bar on standard error, if that is a terminal."""
    from tqdm import tqdm

    bar = tqdm(items, unit=unit, leave=False, file=sys.stderr, disable=None)
    for item in bar:
        bar.set_description(str(item))
        yield item


def write_json(document: Any, path: Path) -> None:
    """Write one JSON document to a file; ``-`` is standard output.

    Raises
    ------
    RoutingSimError
        If the file cannot be written.
    """
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, default=float)
    if path == Path("-"):
        print(text)
        return
    with written(path) as file:
        file.write_text(text + "\n", encoding="utf-8")


def table_of(*columns: str) -> Table:
    """A plain table whose first column is not wrapped."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for k, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=k == 0)
    return table


_SHOWN = (
    ("tasks", "tasks", "{:,.0f}"),
    ("share", "share", "{:.1%}"),
    ("utilisation", "used", "{:.1%}"),
    ("wait_mean", "wait s", "{:.2f}"),
    ("latency_p50", "p50 s", "{:.2f}"),
    ("latency_p95", "p95 s", "{:.2f}"),
    ("latency_p99", "p99 s", "{:.2f}"),
    ("cost", "USD", "{:,.4g}"),
)


_TITLES = {"quality known": "known", "of all tasks": "of all"}


def print_results(results: "Sequence[ReplayResult]") -> None:
    """Print a table per policy, its stability verdict above it."""
    foremost = results[0].foremost
    _foremost(foremost)
    for result in results:
        summary = result.summary()
        table = table_of("agent")
        more = result.quality_columns
        columns = [each for each in _SHOWN if each[0] != "latency_p99" or len(more) < 2]
        columns += more  # in 80 columns
        for _, title, _ in columns:
            table.add_column(_TITLES.get(title, title), justify="right", no_wrap=True)
        for row in summary.reset_index().to_dict("records"):
            cells = [_cell(row[key], form) for key, _, form in columns]
            table.add_row(row["agent"], *cells, style="bold" if row["agent"] == "all" else "")
        out.print()
        out.print(f"[bold]{one_line(result.policy.name)}[/]  {one_line(str(result.stability))}")
        out.print(result.arrivals_in_words, highlight=False, markup=False)
        out.print(table)
        unanswered = {k: result.overall[k] for k in result.endings}
        if any(unanswered.values()):
            said = ", ".join(f"{n:,.0f} {k.replace('_', ' ')}" for k, n in unanswered.items() if n)
            out.print(f"not answered: {said}", highlight=False)
        if result.basis.kind == "none":
            out.print("quality: not recorded in this corpus", style="dim")
    _notes(note for result in results for note in result.notes if note not in foremost)


def print_intervals(name: str, intervals: "Mapping[str, Interval]") -> None:
    """Print the intervals of a replay's times, those that are made alike on one line."""
    made: dict[str, list[str]] = {}
    for metric, found in intervals.items():
        shown = f"{metric.replace('_', ' ')} {found.mean:.4g}"
        if not math.isnan(found.half_width):
            shown += f" ({found.low:.4g} to {found.high:.4g})"
        made.setdefault(found.method, []).append(shown)
    for method, shown in made.items():
        out.print(
            f"{name}, 95 % CI in s: {', '.join(shown)}; {method}", highlight=False, markup=False
        )


def _foremost(notes: Iterable[str]) -> None:
    """Print the notes without which figures are not to be read, if there are any."""
    for note in notes:
        out.print()
        out.print(f"note: {note}", style="bold", highlight=False, markup=False)


def _notes(notes: Iterable[str]) -> None:
    for note in dict.fromkeys(notes):
        out.print(f"note: {note}", style="dim", highlight=False, markup=False)


def print_estimates(found: "Estimates", field: str) -> None:
    """Print the estimates of a log with one answer a task, and differences from the first."""
    from routingsim.evaluation.partial import advice, reasons, said, verdict_of

    of = f"all {found.tasks:,}"
    if found.unserved:
        of = f"{found.tasks:,} of {found.tasks + found.unserved:,}"
    out.print()
    out.print(
        f"[bold]{field} over {of} tasks, estimated[/] from a log with one answer a task (95 % "
        "intervals):",
        highlight=False,
    )
    table = table_of("policy", "estimate")
    for name in found.policies:
        table.add_row(one_line(name), one_line(said(found, name)))
    out.print(table)
    first = next(iter(found.policies))
    for pair in found.differences.values():
        if pair.first == first:
            out.print(str(pair), highlight=False, markup=False)
    many = (
        "task that no one agent served is"
        if found.unserved == 1
        else "tasks that no one agent served are"
    )
    left = f"{found.unserved:,} {many} left out"
    for reason in [left] * bool(found.unserved) + reasons(found):
        out.print(f"note: {reason}", style="dim", highlight=False, markup=False)
    if verdict_of(found) != "answered":
        out.print(advice(found), style="dim", highlight=False, markup=False)


def print_frame(frame: "pd.DataFrame") -> None:
    """Print a table of numbers to four digits, and of words as they are."""
    table = table_of()
    for name in frame.columns:
        table.add_column(name, overflow="fold")
    for row in frame.astype(object).to_numpy().tolist():
        table.add_row(*(one_line(v) if isinstance(v, str) else f"{v:.4g}" for v in row))
    out.print()
    out.print(table)


def _cell(value: float | str, form: str) -> str:
    unknown = not isinstance(value, str) and math.isnan(value)
    return "-" if unknown else form.format(value)


_STUDIED = (
    ("goodput", "goodput/s", "{:.3g}"),
    ("quality", "quality", "{:.4f}"),
    ("estimate", "est.", "{}"),
    ("quality_all", "of all", "{:.4f}"),
    ("recorded", "known", "{:.0%}"),
    ("cost", "USD/task", "{:.3g}"),
    ("latency_mean", "mean s", "{:.2f}"),
    ("latency_p95", "p95 s", "{:.2f}"),
)
_SHORT = {
    "not distinguishable": "unclear",
    "not comparable": "-",
    "no verdict": "-",
    "too short to say": "too short",
}


def print_study(study: "Study") -> None:
    """Print the ranking at each load."""
    _foremost(study.foremost)
    for load in study.loads:
        frame = study.table(load)
        shown = [each for each in _STUDIED if each[0] in frame]
        if "estimate" in frame:  # of all tasks
            shown = [each for each in shown if each[0] != "quality_all"]
        if {"goodput", "estimate"} & set(frame):  # to fit 80 columns
            shown = [each for each in shown if each[0] != "latency_mean"]
        table = table_of()
        table.add_column("policy", overflow="fold")  # only this column is wrapped
        estimated = "cost_estimate" in frame
        for key, title, _ in shown:
            title = "USD est." if key == "cost" and estimated else title
            table.add_column(title, justify="right", no_wrap=True)
        table.add_column("stability", no_wrap=True)
        table.add_column("verdict", no_wrap=True)
        for row in frame.to_dict("records"):
            cells = [
                _cell(row[key], "{:.3f}" if key == "quality" and "estimate" in row else form)
                + (
                    f" ±{row[key + '_hw']:.2g}"
                    if key == by and not math.isnan(row[key + "_hw"])
                    else ""
                )
                for by in [study.ranked_by]
                for key, _, form in shown
            ]
            style = "dim" if row["kind"] == "control" else ""
            name = row["policy"] + (" *" if row["in_sample"] else "")
            verdict = _SHORT.get(row["verdict"], row["verdict"])
            stability = _SHORT.get(row["stability"], row["stability"])
            table.add_row(name, *cells, stability, verdict, style=style)
        out.print()
        if leading := study.leading(load):
            out.print(leading, highlight=False, markup=False)
        out.print(
            f"[bold]load {load:g}[/]  {study.arrivals_at(load)}, "
            f"{study.settings.replications} replications, ranked by "
            f"{'estimated ' * ('estimate' in frame)}{study.ranked_by}",
            highlight=False,
        )
        out.print(table)
    out.print(
        "dim: controls; *: in-sample, fitted or chosen on these very tasks, which flatters it; "
        f"verdicts compare with {study.baseline}, on {study.settings.population}, and hold "
        "together at 95 % (Holm); unclear: not distinguishable; latencies are simulated.",
        style="dim",
        highlight=False,
    )
    _notes(note for note in study.notes if note not in study.foremost)
    for field in ("quality", "cost"):
        if (found := study.estimates(metric=field)) is not None:
            print_estimates(found, field)
