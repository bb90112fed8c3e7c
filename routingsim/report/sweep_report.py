"""The report on a sweep: the best settings in each condition, what each axis does, all cells."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from routingsim import display
from routingsim.errors import SimulationError
from routingsim.evaluation.cell import HIGHER_IS_BETTER, SHARES
from routingsim.evaluation.sweeps.conditions import OF_CONDITIONS
from routingsim.evaluation.sweeps.design import Axis
from routingsim.evaluation.sweeps.plan import shown
from routingsim.evaluation.sweeps.result import Sweep
from routingsim.formatting import count, duration, joined, percent, short, upper_first
from routingsim.report.document import (
    Answer,
    Block,
    Cells,
    Column,
    Document,
    Gallery,
    Picture,
    Section,
    Summary,
    table,
)
from routingsim.report.figures import METRICS
from routingsim.report.provenance import corpus_call, run_section
from routingsim.report.sections import explained_document
from routingsim.report.sweep_plots import plot_sweep, plot_trade_off
from routingsim.simulation.conditions import as_arguments
from routingsim.simulation.in_time import Objective
from routingsim.simulation.statistics import Interval

_CONDITIONS = (
    *("load", "rate", "arrivals", "seed", "tasks", "service"),
    *("outages", "changes", "tenants", "signal_delay"),
)
"""What is varied to see how settings do in it; the rest is for the reader to choose."""

_MOST, _CASES, _NAMED = 60, 6, 3  # rows of a table; conditions and settings named in a sentence
_TABLES = 24  # conditions with a table of their own
_COLUMNS = ("goodput", "quality", "cost", "latency_mean", "latency_p95")
_ABOUT = (
    "A cell is one setting of all that was varied; its figures are means over the replications, "
    "with half-widths of 95 % intervals about these tasks."
)
_FAVOURABLE = (
    "The first of many was chosen by these very runs, so its figure is too favourable: run it "
    "again under another seed before you quote it."
)


@dataclass(frozen=True, eq=False)
class _Case:
    """One condition, and its cells with figures, the best first."""

    at: dict[str, Any]
    cells: Any

    @property
    def said(self) -> str:
        return f"at {_setting(self.at)}" if self.at else ""


def compose_sweep(
    found: Sweep, *, command: str | None = None, date: str | datetime.date | None = None
) -> Document:
    """Compute a report on a sweep; parameters as of :func:`routingsim.report.compose`."""
    fixed, frame = found.plan.fixed, found.to_frame()
    given, chosen = _axes(found)
    conditions = _conditions(found, given)
    cases = _cases(found, conditions)
    parts = (
        ("How sure", tuple(_sure(found, cases, chosen))),
        ("What it rests on", tuple(_rests_on(found, frame, conditions, cases))),
        ("What to do next", tuple(_next(found, frame, cases, chosen))),
    )
    return explained_document(
        Answer(_asked(found, given, chosen), _answer(found, cases, chosen), parts),
        Summary(_ABOUT, tuple(_findings(found, frame)), ()),
        [_best(found, cases, chosen), _effects(found), *_all(found, frame), _run(found, command)],
        title=f"Sweep of {joined(found.varied, 4)}",
        subtitle=f"{count(len(frame), 'cell')}, each {count(fixed.replications, 'replication')} "
        f"of the corpus “{fixed.corpus.name}”",
        date=date,
        data={"sweep": found.to_dict()},
    )


def _axes(found: Sweep) -> tuple[list[str], list[str]]:
    """The names of the conditions and of what is to be chosen; all is, where points are drawn."""
    given = [name for name in found.varied if name in _CONDITIONS]
    if not all(axis.values for axis in found.plan.axes):
        return [], found.varied
    return given, [name for name in found.varied if name not in given]


def _conditions(found: Sweep, given: Sequence[str]) -> list[dict[str, Any]]:
    """All combinations of values of the conditions; one without any is all of a sweep."""
    frame: Any = found.to_frame()[list(given)].drop_duplicates()
    return frame.to_dict("records") if given else [{}]


def _cases(found: Sweep, conditions: Sequence[dict[str, Any]]) -> list[_Case]:
    """The conditions in which a cell has a figure."""
    cases = []
    for at in conditions:
        try:
            cases.append(_Case(at, found.best(at=at, n=len(found.plan.settings))))
        except SimulationError:
            continue
    return cases


def _setting(values: dict[str, Any]) -> str:
    """Values by name: ``load 0.6``, or ``no outages``; a policy's name stands alone."""
    return ", ".join(
        f"no {name}" if value == "" else f"{name} " * (name != "policy") + display.parameter(value)
        for name, value in values.items()
    )


def _chosen(row: Any, chosen: Sequence[str]) -> str:
    return _setting({name: row[name] for name in chosen})


def _metric(found: Sweep) -> str:
    if found.ranked_by == "goodput":
        fixed = found.plan.fixed
        return f"right answers/s {Objective(fixed.objective, fixed.first_token_objective)}"
    return "mean latency"


def _figure(found: Sweep, row: Any) -> str:
    by = found.ranked_by
    interval = Interval(row[by], row[f"{by}_hw"])
    if by == "goodput":
        return f"{interval} {_metric(found)}"
    return f"a mean latency of {interval} s"


def _asked(found: Sweep, given: Sequence[str], chosen: Sequence[str]) -> str:
    best = "the most " if found.ranked_by == "goodput" else "the lowest "
    if not chosen:
        return f"What is the effect of {joined(given)} on {_metric(found)}?"
    what = "policy" if chosen == ["policy"] else f"value of {joined(chosen)}"
    at = f" at each value of {joined(given)}" if given else ""
    return f"Which {what} has {best}{_metric(found)}{at}?"


def _answer(found: Sweep, cases: Sequence[_Case], chosen: Sequence[str]) -> str:
    if not cases:
        return "No cell has a figure: all failed, were not run, or have queues that grow."
    firsts = [case.cells.iloc[0] for case in cases]
    names = [_chosen(row, chosen) for row in firsts]
    ends = [
        f"{_figure(found, firsts[k])} {cases[k].said}".strip()
        for k in dict.fromkeys((0, len(cases) - 1))
    ]
    if not chosen:
        return f"{upper_first(joined(ends))}."
    if len({*names}) == 1:
        where = "" if len(cases) == 1 else f" in each of {len(cases)} conditions"
        return f"Use {names[0]}{where}: {joined(ends)}."
    if robust := _robust(found, cases, chosen):
        where = f"the {len(cases)} conditions"
        return f"Use {robust}: in none of {where} is it shown to be worse than the best."
    where = {name: [] for name in names}
    for name, case in zip(names, cases, strict=True):
        where[name].append(_setting(case.at))
    said = [f"{name} at {joined(at, _CASES)}" for name, at in where.items()]
    return f"It depends: use {joined(said, _CASES)}."


def _robust(found: Sweep, cases: Sequence[_Case], chosen: Sequence[str]) -> str:
    """The setting with the best mean of those with a figure in all conditions, nowhere worse."""
    sums: dict[str, list[float]] = {}
    for case in cases:
        for _, row in case.cells[case.cells["verdict"] != "worse"].iterrows():
            sums.setdefault(_chosen(row, chosen), []).append(row[found.ranked_by])
    sign = 1 if found.ranked_by in HIGHER_IS_BETTER else -1
    means = {name: sign * sum(each) for name, each in sums.items() if len(each) == len(cases)}
    return max(means, key=means.__getitem__, default="")


def _sure(found: Sweep, cases: Sequence[_Case], chosen: Sequence[str]) -> list[str]:
    if not (cases and chosen):
        return []
    said = []
    for case in cases[:_CASES]:
        first, others = case.cells.iloc[0], case.cells.iloc[1:]
        behind = int((others["verdict"] == "worse").sum())
        level = others[others["verdict"] != "worse"]
        name = f"{_chosen(first, chosen)} {case.said}".strip()
        if others.empty:
            said.append(f"{name} is the only cell with a figure.")
            continue
        text = [f"is better than {behind:,} of {count(len(others), 'other')}"] if behind else []
        if len(level):
            names = [_chosen(row, chosen) for _, row in level.iterrows()]
            text.append(f"cannot be told from {joined(names, _NAMED)}")
        said.append(f"{name} {' and '.join(text)}.")
    if len(cases) > _CASES:
        more = count(len(cases) - _CASES, "more condition")
        said.append(f"The tables below have {more}.")
    runs = count(found.plan.fixed.replications, "replication")
    said.append(f"Verdicts are by paired t over {runs}, with Holm’s correction.")
    return [*said, _FAVOURABLE]


def _rests_on(
    found: Sweep, frame: Any, conditions: Sequence[dict[str, Any]], cases: Sequence[_Case]
) -> list[str]:
    fixed = found.plan.fixed
    draws = (
        "the same arrivals and draws in all cells" if fixed.common else "draws of its own a cell"
    )
    tasks = "" if fixed.tasks is None else f" of {count(fixed.tasks, 'task')}"
    known = int(frame[found.ranked_by].notna().sum())
    there = [case.at for case in cases]
    lacking = [_setting(at) for at in conditions if there and at not in there]
    return [
        f"{count(fixed.replications, 'run')} a cell{tasks} of “{fixed.corpus.name}”, with {draws} "
        f"(root seed {fixed.seed}); latencies are simulated.",
        f"{known:,} of {count(len(frame), 'cell')} ({percent(known / len(frame))}) have a figure"
        f"{_without(frame)}.",
        *([f"None has a figure at {joined(lacking, _CASES)}."] if lacking else []),
    ]


def _without(frame: Any) -> str:
    """Why cells have no figure."""
    found = {
        "with queues that grow": int((frame["stability"] == "growing").sum()),
        "failed": int((frame["status"] == "failed").sum()),
        "not run": int((frame["status"] == "not run").sum()),
    }
    said = [f"{number:,} {why}" for why, number in found.items() if number]
    return f"; left out: {joined(said)}" if said else ""


def _next(found: Sweep, frame: Any, cases: Sequence[_Case], chosen: Sequence[str]) -> list[str]:
    said = []
    if (frame["status"] != "done").any():
        said.append(
            "Run the same command again: cells that failed or were not run are tried again."
        )
    close = [case for case in cases if (case.cells["verdict"] == "not distinguishable").any()]
    more = 4 * found.plan.fixed.replications
    if close and chosen:
        said.append(
            f"Where settings cannot be told apart, `replications={more}` halves the intervals."
        )
    elif any(_is_wide(found, case.cells.iloc[0]) for case in cases):
        said.append(f"Run `replications={more}`: an interval is wider than its figure.")
    if chosen and cases:
        said.append(
            "Compare the leading settings under another seed, for tasks like these and not these "
            "alone: `rs.compare(corpus, pool, policies, seed=1)`."
        )
    return said


def _is_wide(found: Sweep, row: Any) -> bool:
    return 2 * row[f"{found.ranked_by}_hw"] > row[found.ranked_by]


def _findings(found: Sweep, frame: Any) -> list[str]:
    """What each axis does, on average over the settings of the others that have all figures."""
    by, said = found.ranked_by, []
    for axis in found.plan.axes:
        if len(axis.values) < 2:
            continue
        others = [name for name in found.varied if name != axis.name]
        wide = frame.assign(_=0).pivot(index=[*others, "_"], columns=axis.name, values=by).dropna()
        if wide.empty:
            continue
        means = wide.mean().sort_values()
        ends = [
            f"{short(means[at], 3)} at {_setting({axis.name: at})}" for at in means.index[[0, -1]]
        ]
        over = f", on average over {count(len(wide), 'setting')} of the rest" * bool(others)
        said.append(f"{upper_first(_metric(found))}: {' to '.join(ends)}{over}.")
    return said


def _interval(frame: Any, metric: str) -> Cells:
    scale = 1000.0 if metric == "cost" else 1.0
    pairs = zip(scale * frame[metric], scale * frame[f"{metric}_hw"], strict=True)
    found = [Interval(*pair) for pair in pairs]
    if metric in SHARES:
        found = [each.within(0.0, 1.0) for each in found]
    return replace(METRICS[metric], kind="interval"), [each.parts for each in found]


def _columns(frame: Any, names: Sequence[str], beside: Sequence[str]) -> list[Cells]:
    values: list[Cells] = [
        (name, [display.parameter(value) for value in frame[name]]) for name in names
    ]
    values += [
        _interval(frame, metric) for metric in _COLUMNS if frame[metric].notna().to_numpy().any()
    ]
    return [*values, *((name, frame[name].fillna("")) for name in beside)]


def _best(found: Sweep, cases: Sequence[_Case], chosen: Sequence[str]) -> Section | None:
    if not (cases and chosen):
        return None
    text = (
        f"Best first by {_metric(found)}. A verdict says whether a cell is worse than the first "
        "of its table, or cannot be told from it.",
    )
    blocks = [
        table(
            upper_first(case.said) or "All cells with a figure",
            _columns(case.cells.head(10), chosen, ("verdict", "stability")),
        )
        for case in cases[:_TABLES]
    ]
    if len(cases) > _TABLES:
        more = count(len(cases) - _TABLES, "more condition")
        text = (*text, f"Without a table here: {more}; `sweep.best(at=…)` gives one each.")
    return Section("best", "The best settings", text, tuple(blocks))


def _effects(found: Sweep) -> Section | None:
    if not found.has_figures:
        return None
    by, frame = found.ranked_by, found.to_frame()
    metrics = dict.fromkeys((by, "latency_p95"))
    pictures = [
        Picture(METRICS[name].name, "", _in_words(found, name), partial(_plot, found, name))
        for name in metrics
        if frame[name].notna().to_numpy().any()
    ]
    words = f"{METRICS[by].name} against cost, a mark a cell."
    pictures.append(Picture("Trade-off", "", words, partial(_trade_off, found)))
    text = ("Bars are 95 % intervals. Cells without a figure are left out and counted.",)
    gallery = Gallery("effects", tuple(pictures), (3.6, 3.6))
    return Section("effects", "What each setting does", text, (gallery,))


def _plot(found: Sweep, metric: str, ax: Any) -> object:
    return plot_sweep(found, metric, ax)


def _trade_off(found: Sweep, ax: Any) -> object:
    return plot_trade_off(found, ax=ax)


def _in_words(found: Sweep, metric: str) -> str:
    frame: Any = found.to_frame()
    known = frame[frame[metric].notna()]
    ends = [known.loc[known[metric].idxmin()], known.loc[known[metric].idxmax()]]
    said = [f"{row[metric]:.3g} at {_chosen(row, found.varied)}" for row in ends]
    return f"From {' to '.join(said)}."


def _all(found: Sweep, frame: Any) -> list[Section]:
    rows = frame.head(_MOST)
    more = len(frame) - len(rows)
    text = ("In the order of the plan.",)
    if more:
        text = (f"The first {_MOST:,} in the order of the plan; `to_frame()` has {more:,} more.",)
    shown_cells = table("Cells", _columns(rows, found.varied, ("status", "stability")))
    sections = [Section("cells", "All cells", text, (shown_cells,))]
    failed = found.failed
    if len(failed):
        names = [*found.varied, "error"]
        columns: list[Cells] = [(name, list(map(str, failed[name]))) for name in names]
        block: tuple[Block, ...] = (table("Failed cells", columns),)
        sections.append(Section("failed", "Failed cells", blocks=block))
    return sections


def _values(axis: Axis) -> Any:
    """The values of an axis, or its ends, as a call has them."""
    if axis.values:
        # The name of an outage or tenant could not be read again.
        return [each if axis.name in OF_CONDITIONS else shown(each) for each in axis.values]
    kind = int if axis.whole else float
    ends = {"from": kind(axis.low), "to": kind(axis.high)}
    return {**ends, "log": True} if axis.log else ends


def _said_values(axis: Axis) -> str:
    if not axis.values:
        return f"{axis.low:g} to {axis.high:g}"
    return ", ".join(display.parameter(shown(each)) or "none" for each in axis.values)


def _run(found: Sweep, command: str | None) -> Section:
    plan, fixed = found.plan, found.plan.fixed
    same = {name: getattr(fixed, name) for name in ("policy", "arrivals", "load", "rate")}
    facts = [
        *(
            (upper_first(name), display.parameter(shown(value)))
            for name, value in same.items()
            if value is not None and name not in found.varied
        ),
        ("Replications", f"{fixed.replications:,}"),
        ("Tasks of a run", "all" if fixed.tasks is None else f"{fixed.tasks:,}"),
        ("Seed", str(fixed.seed)),
        ("Latency objective", duration(fixed.objective)),
        ("Right answer", f"quality of {fixed.right:g} or more"),
    ]
    policy = "" if fixed.policy is None or "policy" in found.varied else shown(fixed.policy)
    beside = {name: getattr(fixed, name) for name in ("arrivals", "load", "rate", "tasks")}
    if plan.design != "grid":
        beside = {"design": plan.design, "points": plan.points} | beside
    first = fixed.first_token_objective
    call = (
        f"sweep({corpus_call(fixed.corpus)}, pool{f', {policy!r}' if policy else ''}, "
        f"vary={ {axis.name: _values(axis) for axis in plan.axes} }"
        f"{''.join(f', {k}={v!r}' for k, v in beside.items() if v is not None)}, "
        f"replications={fixed.replications}, seed={fixed.seed}, "
        f"objective={fixed.objective!r}, right={fixed.right!r}"
        f"{'' if first is None else f', first_token_objective={first!r}'}"
        f"{as_arguments(fixed.conditions({}))}{'' if fixed.common else ', common=False'})"
    )
    varied = table(
        "What was varied",
        [
            ("name", found.varied),
            (Column("values", kind="text"), list(map(_said_values, plan.axes))),
        ],
    )
    return run_section(fixed.corpus, fixed.pool, facts, command or call, varied)
