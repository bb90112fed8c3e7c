"""Output of the command line: tables on standard output, remarks on standard error."""

import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from routingsim.files import written
from routingsim.formatting import cells, decimals, short, tight

if TYPE_CHECKING:  # imported when used, so that help is shown without loading the compiler
    import pandas as pd

    from routingsim.evaluation.decision_record import Choice
    from routingsim.evaluation.estimate import Estimates
    from routingsim.evaluation.study import Study
    from routingsim.simulation.in_time import Objective
    from routingsim.simulation.result import ReplayResult
    from routingsim.simulation.statistics import Interval
    from routingsim.simulation.stream_result import StreamedReplay

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
    from routingsim.progress import progress_bar

    bar = progress_bar(iterable=items, unit=unit)
    for item in bar:
        bar.set_description(str(item))
        yield item


def write_json(command: str, document: Mapping[str, Any], path: Path) -> None:
    """Write what a command found as one JSON document to a file; ``-`` is standard output.

    Its first field is ``schema``: ``routingsim/COMMAND/1``. The number grows when a field is
    taken away or changes its meaning; docs/json.md lists the fields.

    Raises
    ------
    RoutingSimError
        If the file cannot be written.
    """
    document = {"schema": f"routingsim/{command}/1", **document}
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, default=float)
    if path == Path("-"):
        print(text, flush=True)
        return
    with written(path) as file:
        file.write_text(text + "\n", encoding="utf-8")


_NAME = 21  # characters of a first column that may be folded


def _width(cells: Iterable[str], words: bool) -> int:
    """The least width of a column: of its longest word, or of its longest line."""
    lines = [Text.from_markup(cell).plain for cell in cells]
    parts = [part for line in lines for part in (line.split() if words else line.splitlines())]
    return max(map(cell_len, parts), default=0)


def print_said(*lines: str) -> None:
    """Print sentences, those that are longer than the terminal is wide broken between words."""
    for line in lines:
        out.print(line, highlight=False, markup=False)


def print_table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    words: Collection[str],
    spare: Sequence[str | tuple[str, ...]] = (),
    styles: Sequence[str] = (),
) -> None:
    """Print a plain table that fits the width of the terminal, and no figure of it cut.

    Parameters
    ----------
    heads, rows
        The titles, and a cell for each of them a row, with markup.
    words : collection of str
        Titles of columns of words, which are wrapped; the others hold figures, and are not.
    spare : sequence of str or of tuple of str
        Titles of columns to leave out where the table is too wide, the least important first;
        those of a tuple are left out together.
    styles : sequence of str, optional
        A style for each row.
    """
    widths = [_width([h, *(row[k] for row in rows)], h in words) for k, h in enumerate(heads)]
    widths[0] = min(widths[0], _NAME)
    kept, left = list(range(len(heads))), []
    for each in spare:
        if sum(widths[k] + 2 for k in kept) - 2 <= out.width:
            break
        gone = [head for head in ((each,) if isinstance(each, str) else each) if head in heads]
        kept = [k for k in kept if heads[k] not in gone]
        left += gone
    table = Table(box=None, header_style="bold", pad_edge=False)
    room = out.width - sum(widths[k] + 2 for k in kept) + 2
    widths[0] = max(1, widths[0] + min(room, 0))  # with nothing left to leave out
    for k in kept:
        wraps = heads[k] in words
        whole = _width([heads[k], *(row[k] for row in rows)], words=False)
        more = max(0, min(room, whole - widths[k])) if wraps else 0
        room -= more
        justify = "left" if wraps else "right"
        table.add_column(
            heads[k], width=widths[k] + more, overflow="fold", no_wrap=not wraps, justify=justify
        )
    for n, row in enumerate(rows):
        table.add_row(*(row[k] for k in kept), style=styles[n] if styles else "")
    out.print(table)
    if left:
        names = ", ".join(head.replace("\n", " ") for head in left)
        out.print(f"left out at this width: {names}", style="dim", highlight=False)


_SHOWN = (
    ("tasks", "tasks", "{:,.0f}"),
    ("share", "share", "{:.1%}"),
    ("utilisation", "used", "{:.1%}"),
    ("wait_mean", "wait s", "{:.2f}"),
    ("latency_p50", "p50 s", "{:.2f}"),
    ("latency_p95", "p95 s", "{:.2f}"),
    ("latency_p99", "p99 s", "{:.2f}"),
    ("cost", "USD", "number"),
)


_TITLES = {"quality known": "known", "of all tasks": "of all"}
_SPARE = ("p99 s", "share", "p50 s", "known", "of all", "used", "tasks", "wait s")


def print_decision(made: "Choice") -> None:
    """Print a decision: what was asked, the answer in bold, and what it rests on."""
    from routingsim.evaluation.decision_text import sentences

    said = sentences(made)
    asked, *rest = said.parts()
    out.print()
    for title, lines in (asked, ("Answer", (said.answer,)), *rest):
        if lines:
            text = Text.assemble((f"{title}: ", "bold"), " ".join(lines))
            text.stylize("bold" if title == "Answer" else "")
            out.print(text, highlight=False)


def print_results(
    results: "Sequence[ReplayResult] | Sequence[StreamedReplay]", goal: "Objective | None" = None
) -> None:
    """Print a table per policy, its stability verdict above it, and goodput where asked for."""
    from routingsim.evaluation.metrics.timed import counted
    from routingsim.simulation.in_time import in_words

    foremost = dict.fromkeys(note for result in results for note in result.foremost)
    _foremost(foremost)
    costs = _places(result.summary() for result in results)
    for result in results:
        _print_summary(result, result.quality_columns, costs)
        unanswered = {k: result.overall[k] for k in result.endings}
        if any(unanswered.values()):
            said = ", ".join(f"{n:,.0f} {k.replace('_', ' ')}" for k, n in unanswered.items() if n)
            out.print(f"not answered: {said}", highlight=False)
        if goal is not None:
            said = in_words(goal, counted(result, goal), result.stability.lasts)
            out.print(said, highlight=False, markup=False)
        for said in result.groups_in_words:
            out.print(said, highlight=False, markup=False)
        if result.hedge is not None:
            hedged, spare = result.overall["hedged"], result.overall["spare"]
            out.print(
                f"second copies of {hedged:.1%} of the tasks, {spare:.1%} of the service unused",
                highlight=False,
            )
        if result.recorded == "none":
            out.print("quality: not recorded in this corpus", style="dim")
    _notes(note for result in results for note in result.notes if note not in foremost)


def _print_summary(
    result: "ReplayResult | StreamedReplay", more: "Sequence[tuple[str, str, str]]", costs: int
) -> None:
    """Print a policy's verdict, its arrivals, and a row an agent.

    ``more`` are further columns, and ``costs`` the decimals of costs.
    """
    columns = [*_SHOWN, *more]
    records = result.summary().reset_index().to_dict("records")
    out.print()
    out.print(f"[bold]{one_line(result.policy.name)}[/]  {one_line(str(result.stability))}")
    out.print(result.arrivals_in_words, highlight=False, markup=False)
    print_table(
        ["agent", *(_TITLES.get(title, title) for _, title, _ in columns)],
        [
            [escape(row["agent"]), *(_cell(row[key], form, costs) for key, _, form in columns)]
            for row in records
        ],
        words=["agent"],
        spare=_SPARE,
        styles=["bold" if row["agent"] == "all" else "" for row in records],
    )


def print_streamed(results: "Sequence[StreamedReplay]") -> None:
    """Print a table per policy of streamed replays."""
    from routingsim.simulation.quantile_sketch import ERROR

    print_results(results, results[0].objective)
    out.print(f"percentiles are within {ERROR:.1%} of the exact ones", style="dim", highlight=False)


def print_intervals(name: str, intervals: "Mapping[str, Interval]") -> None:
    """Print the intervals of a replay's times, those that are made alike on one line."""
    made: dict[str, list[str]] = {}
    for metric, found in intervals.items():
        shown = f"{metric.replace('_', ' ')} {short(found.mean)}"
        if not math.isnan(found.half_width):
            shown += f" ({short(found.low)} to {short(found.high)})"
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

    costs = field == "cost"
    unit, scale = (" in USD per 1,000 tasks", 1000.0) if costs else ("", 1.0)
    of = f"all {found.tasks:,}"
    if found.unserved:
        of = f"{found.tasks:,} of {found.tasks + found.unserved:,}"
    out.print()
    out.print(
        f"[bold]{field}{unit} over {of} tasks, estimated[/] from a log with one answer a task "
        "(95 % intervals):",
        highlight=False,
    )
    rows = [
        (one_line(name), one_line(said(found, name, "cost" if costs else "quality")))
        for name in found.policies
    ]
    print_table(("policy", "estimate"), rows, words=("policy", "estimate"))
    first = next(iter(found.policies))
    for pair in found.differences.values():
        if pair.first == first:
            shown = replace(pair, interval=pair.interval.scaled(scale))
            out.print(str(shown), highlight=False, markup=False)
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


def print_frame(frame: "pd.DataFrame", spare: Sequence[str | tuple[str, ...]] = ()) -> None:
    """Print a table, a column's numbers with as many decimals.

    ``spare`` columns are left out where it is too wide.
    """
    from pandas.api.types import is_numeric_dtype

    from routingsim.evaluation.tabular import texts

    heads, rows = texts(frame)
    words = [head for head in heads if not is_numeric_dtype(frame[head])]
    out.print()
    print_table(heads, [list(map(one_line, row)) for row in rows], words=words, spare=spare)


def _places(frames: "Iterable[pd.DataFrame]", scale: float = 1.0) -> int:
    """The decimals that costs have in several tables."""
    costs = [scale * cost for frame in frames for cost in frame["cost"].tolist()]
    return decimals([cost for cost in costs if not math.isnan(cost)], "number")


def _cell(value: float | str, form: str, places: int = 0) -> str:
    if not isinstance(value, str) and math.isnan(value):
        return "-"
    return f"{value:,.{places}f}" if form == "number" else form.format(value)


def _pairs(frame: "pd.DataFrame", metric: str) -> list[tuple[float | None, ...]]:
    """A metric and its half-width in each row."""
    from routingsim.evaluation.cell import SHARES
    from routingsim.simulation.statistics import Interval

    means, widths = frame[metric].tolist(), frame[f"{metric}_hw"].tolist()
    found = [Interval(*each) for each in zip(means, widths, strict=True)]
    if metric in SHARES:
        found = [each.within(0.0, 1.0) for each in found]
    return [tuple(None if math.isnan(part) else part for part in each.parts) for each in found]


_STUDIED = (
    ("goodput", "goodput/s", "{:.2f}"),
    ("quality", "quality", "{:.4f}"),
    ("estimate", "est.", "{}"),
    ("quality_all", "of all", "{:.4f}"),
    ("recorded", "known", "{:.0%}"),
    ("cost", "USD/1k", "number"),
    ("latency_mean", "mean s", "{:.2f}"),
    ("latency_p95", "p95 s", "{:.2f}"),
)
_SPARE_STUDIED = ("mean s", "goodput/s", "of all", "stability", "known", "USD/1k", "p95 s")
_SHORT = {
    "not distinguishable": "unclear",
    "not comparable": "-",
    "no verdict": "-",
    "baseline": "base",
    "too short to say": "too short",
}


def print_study(study: "Study") -> None:
    """Print the ranking at each load."""
    _foremost(study.foremost)
    by, tables = study.ranked_by, {load: study.table(load) for load in study.loads}
    costs = _places(tables.values(), 1000)
    ranked = decimals([pair for frame in tables.values() for pair in _pairs(frame, by)], "interval")
    for load, frame in tables.items():
        shown = [each for each in _STUDIED if each[0] in frame]
        if "estimate" in frame:  # of all tasks
            shown = [each for each in shown if each[0] != "quality_all"]
        estimated = "cost_estimate" in frame
        titles = {
            key: "USD est." if key == "cost" and estimated else title for key, title, _ in shown
        }
        pairs = _pairs(frame, by)
        # Times of a backlog that outlasts the run say only how long the run was.
        lasts = [study.cell(name, load).lasts for name in frame["policy"]]
        timed = {k for k, _, _ in shown if k.startswith("latency") and k != by}
        frame = frame.assign(**{key: frame[key].mask(lasts) for key in timed})
        columns = [
            list(map(tight, cells(pairs, "interval", ranked, absent="-")))
            if key == by
            else [_cell(v * 1000 if key == "cost" else v, form, costs) for v in frame[key].tolist()]
            for key, _, form in shown
        ]
        rows, styles = [], []
        for row, *figures in zip(frame.to_dict("records"), *columns, strict=True):
            styles.append("dim" if row["kind"] == "control" else "")
            name = row["policy"] + "*" * bool(row["in_sample"])
            verdict = _SHORT.get(row["verdict"], row["verdict"])
            stability = _SHORT.get(row["stability"], row["stability"])
            rows.append([escape(name), *figures, stability, verdict])
        out.print()
        if leading := study.leading(load):
            out.print(leading, highlight=False, markup=False)
        out.print(
            f"[bold]load {load:g}[/]  {study.arrivals_at(load)}, "
            f"{study.settings.replications} replications, ranked by "
            f"{'estimated ' * ('estimate' in frame)}{study.ranked_by}",
            highlight=False,
        )
        print_table(
            ["policy", *titles.values(), "stability", "verdict"],
            rows,
            words=("policy", "stability", "verdict"),
            spare=[each for each in _SPARE_STUDIED if each != titles.get(study.ranked_by)],
            styles=styles,
        )
    out.print(
        "dim: controls; *: in-sample, fitted or chosen on these very tasks, so too favourable; "
        "USD/1k: USD per 1,000 tasks; "
        f"verdicts compare with {study.baseline}, on {study.settings.population}, and hold "
        "together at 95 % (Holm); unclear: not distinguishable; latencies are simulated.",
        style="dim",
        highlight=False,
    )
    _notes(note for note in study.notes if note not in study.foremost)
    for field in ("quality", "cost"):
        if (found := study.estimates(metric=field)) is not None:
            print_estimates(found, field)
