"""The sections of a report on replays, whether in memory or in blocks."""

import datetime
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pandas as pd

from routingsim import display
from routingsim.errors import SimulationError
from routingsim.evaluation.decision import Decision
from routingsim.evaluation.metrics.timed import counted
from routingsim.formatting import ABSENT, count, joined, number, percent
from routingsim.policies.kernel import FAILED, STATUS_NAMES
from routingsim.report import captions, plots, sections
from routingsim.report.axes import with_legend
from routingsim.report.document import (
    Block,
    Cells,
    Column,
    Document,
    Gallery,
    Picture,
    Section,
    Table,
    table,
)
from routingsim.report.figures import METRICS, Entry, Experiment
from routingsim.report.palette import agent_colours
from routingsim.report.plot_data import Shown
from routingsim.simulation.faults import ONE_TRY, Hedge
from routingsim.simulation.in_time import Objective

_TIMES = (("Waits and latencies", ("wait", "latency")), ("First tokens", ("first_token",)))
_OF_GROUPS = ("wait_mean", "latency_p50", "latency_p95", "latency_p99")
_FEW = 30  # answers below which a p99 is little more than the largest value


def check_alike(results: Sequence[Any], facts: Callable[[Any], dict[str, Any]]) -> None:
    """Refuse results of which two differ in one of the facts, which have names."""
    first = results[0]
    known = facts(first)
    for other in results[1:]:
        for what, fact in facts(other).items():
            if fact != known[what]:
                raise SimulationError(
                    f"{first.policy.name} and {other.policy.name} cannot be compared in one "
                    f"report: they differ in {what}; replay both on the same"
                )


def assemble(
    results: Sequence[Shown],
    experiment: Experiment,
    decision: Decision,
    goal: Objective | None,
    run: Section,
    queue: Section,
    *last: Section,
    name: str,
    of: str,
    date: str | datetime.date | None,
    caveats: Sequence[str],
) -> Document:
    """A report on replays of the corpus ``name``, with answers counted within ``goal``.

    ``of`` says which tasks these are.
    """
    policies, first = experiment.last.policies, results[0]
    return sections.assemble(
        experiment,
        decision,
        [
            *(run, comparison(policies, results, goal), usage(results), latencies(results)),
            *(queue, *groups(results), *last),
        ],
        title=f"Routing report: {name}",
        subtitle=f"{count(len(first), 'task')} {of}, {count(len(first.pool), 'agent')}, "
        f"{count(len(results), 'policy', 'policies')}",
        date=date,
        caveats=caveats,
        cautions=few_answers(results),
        data={"policies": [result.to_dict() for result in results]},
    )


def call_of(results: Sequence[Shown], function: str, corpus: str, settings: str) -> str:
    """The Python call that repeats the runs, with the agents as ``pool``."""
    names = [result.policy.name for result in results]
    policy = repr(names[0]) if len(results) == 1 else "policy"
    call = f"{function}({corpus}, pool, {policy}, {settings})"
    return f"[{call} for policy in {names}]" if len(results) > 1 else call


def policy_table(results: Sequence[Shown], policies: Sequence[Entry], *more: Cells) -> Table:
    """The parameters of each policy and whether it learns; ``more`` columns follow."""
    columns = [
        ("parameters", [parameters_in_words(result) for result in results]),
        ("learns", ["while it runs" if r.policy.learns else "no" for r in results]),
        *more,
    ]
    return sections.entry_table("Policies", policies, columns)


def settings(first: Shown, length: str, tasks: str = "") -> tuple[list[tuple[str, str]], str]:
    """What was run besides the policies, as facts and as arguments in Python.

    ``length`` is that of the run, in words, and ``tasks`` the argument that sets their number.
    """
    asked, met = rate_in_words(*first.asked), rate_in_words(*first.realised)
    warm_up = f"first {percent(first.warm_up)} of the arrivals’ time left out of timing figures"
    facts = [
        ("Tasks", f"{len(first):,}"),
        ("Arrivals asked for", f"{first.arrivals} ({asked})" if asked else first.arrivals),
        ("Arrivals met", f"{met}, over {length}"),
        ("Seed", str(first.seed)),
        ("Warm-up", warm_up if first.warm_up else "none"),
        *(("Outage", f"{o.agent} down from {o.down:g} s to {o.up:g} s") for o in first.outages),
    ]
    facts += [("Change", str(change)) for change in first.changes]
    if first.signals.routers > 1:
        late = f"{first.signals.delay:g} s late" if first.signals.delay else "at once"
        facts.append(("Routers", f"{first.signals.routers:,}, which see each other’s calls {late}"))
    call = f"arrivals={first.arrivals!r}, {tasks}seed={first.seed}"
    if first.retries != ONE_TRY:
        call += f", retries={first.retries!r}"
    if first.outages:
        call += f", outages={list(first.outages)}"
    if first.changes:
        call += f", changes={list(first.changes)}"
    for name, value in first.signals.arguments().items():
        call += f", {name}={value!r}"
    if first.hedge is not None:
        call += f", hedge={first.hedge!r}"
        facts.append(("Second copies", hedge_in_words(first.hedge)))
    if first.tenants:
        call += f", tenants={list(first.tenants)}"
    return facts, call


def comparison(
    policies: Sequence[Entry], results: Sequence[Shown], goal: Objective | None
) -> Section:
    """The policies in figures, over all tasks, with those that were answered within ``goal``."""
    timed = [] if goal is None else [counted(result, goal) for result in results]
    goodput = [
        math.nan if result.stability.lasts else found.goodput
        for result, found in zip(results, timed, strict=False)
    ]
    known = any(e.estimated or not math.isnan(e.mean("quality")) for e in policies)
    columns = [
        ("verdict", [entry.state for entry in policies]),
        *(sections.quality_columns(policies) if known else []),
        *("cost", "latency_p50", "latency_p95", "latency_p99"),
        *(["first_token_p95"] if "first_token_p95" in results[0].summary() else []),
        *("wait_mean", "answered"),
        *_lost(pd.DataFrame([entry.lost for entry in policies])),
        *("utilisation", "cost_total"),
    ]
    if timed:
        columns.append((Column("in time", "%", "percent"), [found.within for found in timed]))
        columns.append((METRICS["goodput"], goodput))
    title = "Policies compared" if len(policies) > 1 else "The policy in figures"
    text = [
        "Percentiles of a policy whose backlog outlasts the run say only how long that was."
    ] * any(entry.overloaded for entry in policies)
    if timed:
        text.append(f"In time: answered {goal}, of the tasks after the warm-up.")
    blocks = (sections.entry_table("All tasks", policies, columns),)
    return Section("comparison", title, tuple(text), blocks)


def usage(results: Sequence[Shown]) -> Section:
    """Tasks and time of each agent."""
    height = 1.3 + 0.2 * min(max(len(results[0].pool), 5), 21)
    blocks: list[Block] = [
        gallery("usage", results, plots.plot_usage, captions.usage_in_words, height)
    ]
    for result in results:
        found, offered = result.summary().iloc[:-1], result.stability.offered
        columns = [
            ("agent", result.pool.ids),
            (Column("tasks", kind="count"), found["tasks"]),
            (Column("share", "%", "percent"), found["share"]),
            (Column("offered load", "%", "percent"), [offered[a] for a in result.pool.ids]),
            (METRICS["utilisation"], found["utilisation"]),
            *_lost(found),
            (METRICS["cost_total"], found["cost"]),
            (METRICS["cost"], 1000 * found["cost_mean"]),
        ]
        for key, *_ in result.quality_columns:
            if found[key].notna().any():
                columns.append((METRICS[key], found[key]))
        colours = agent_colours(len(result.pool))
        blocks.append(table(f"Agents under {result.policy.name}", columns, colours))
    text = (
        "Bars are shares of tasks, diamonds the share of an agent’s slots in use. An agent with "
        "few tasks may still be busy, if its tasks take long or its slots are few.",
    )
    return Section("usage", "Usage", text, tuple(blocks))


def latencies(results: Sequence[Shown]) -> Section:
    """Waits and latencies of each agent."""
    blocks: list[Block] = []
    if len(results) > 1:
        said = captions.latencies_in_words(results)
        picture = Picture("All policies", said, said, partial(plots.plot_latencies, results))
        size = 4.2, with_legend([result.policy.name for result in results])
        blocks.append(Gallery("latencies", (picture,), size))
    blocks.append(gallery("latency", results, plots.plot_latency, captions.latency_in_words))
    text = [
        "Latency is the time from a task’s intended arrival to the end of its answer, its wait "
        "included. A curve shows which share of the answers took at most so long."
    ]
    for result in results:
        found, timed = result.summary(), result.timed_answers
        for what, names in _TIMES:
            figures = [f"{name}_{q}" for name in names for q in ("mean", "p50", "p95", "p99")]
            if figures[0] not in found:
                continue
            columns = [
                ("agent", found.index),
                (Column("timed answers", kind="count"), [*timed, sum(timed)]),
                *(
                    (Column(each.replace("_", " "), "s", "seconds"), found[each])
                    for each in figures
                ),
            ]
            colours = [*agent_colours(len(result.pool)), ""]
            blocks.append(table(f"{what} under {result.policy.name}", columns, colours))
    if "first_token_mean" in results[0].summary():
        text.append(
            "A first token comes after the wait and the agent’s time to it, counted from the "
            "task’s arrival; an answer that comes whole has it at its end."
        )
    return Section("latency", "Latency", tuple(text), tuple(blocks))


def groups(results: Sequence[Shown]) -> list[Section]:
    """Figures by tenant and by priority, where there are several."""
    blocks: list[Block] = []
    said = []
    for result in results:
        tables = (("Tenants", result.by_tenant()), ("Priorities", result.by_priority()))
        for title, found in tables:
            if len(found) < 2:
                continue
            columns = [
                (str(found.index.name), found.index.astype(str)),
                (Column("tasks", kind="count"), found["tasks"]),
                (Column("share of tasks", "%", "percent"), found["share"]),
                (Column("share of service", "%", "percent"), found["service"]),
                *_lost(found),
                *((METRICS[name], found[name]) for name in _OF_GROUPS),
                (METRICS["cost_total"], found["cost"]),
            ]
            if "weight" in found:
                columns.insert(1, (Column("weight"), found["weight"]))
            blocks.append(table(f"{title} under {result.policy.name}", columns))
        if len(result.tenant_names) > 1:
            said.append(f"{result.fairness:.3f} under {result.policy.name}")
    index = (
        f"Jain’s index of the service that tenants had for their weights is {joined(said)}: 1 is "
        "even; a tenant that asks for less than its share lowers it, too."
    )
    text = (index,) if said else ()
    title = "Tenants and priorities"
    return [Section("groups", title, text, tuple(blocks))] if blocks else []


def gallery(
    name: str,
    results: Sequence[Shown],
    plot: Callable[..., object],
    words: Callable[[Any], str],
    height: float = 2.8,
) -> Gallery:
    """A plot of each result, with its words."""
    pictures = (Picture(r.policy.name, words(r), words(r), partial(plot, r)) for r in results)
    return Gallery(name, tuple(pictures), (3.6, height))


def _lost(tasks: pd.DataFrame) -> list[Cells]:
    """Counts of tasks without an answer, a column for each ending that occurred."""
    return [
        (Column(ending.replace("_", " "), "tasks", "count"), tasks[ending])
        for ending in STATUS_NAMES[FAILED:]
        if ending in tasks and sum(tasks[ending])
    ]


def few_answers(results: Sequence[Shown]) -> list[str]:
    """Warnings that only replays need: percentiles of few answers."""
    said = []
    for result in results:
        answers = zip(result.pool.ids, result.timed_answers, strict=True)
        named = [f"{agent} ({n})" for agent, n in answers if 0 < n < _FEW]
        if named:
            said.append(
                f"Under {result.policy.name} fewer than {_FEW} timed answers are behind the "
                f"percentiles of {joined(named)}: their p95 and p99 are little more than the "
                "largest values."
            )
    return said


def rate_in_words(rate: float | None, cv: float | None) -> str:
    """Rate of arrivals and cv of the gaps between them, as far as they are known."""
    known = [] if rate is None or math.isnan(rate) else [f"{number(rate)} tasks/s"]
    if cv is not None and not math.isnan(cv):
        known.append(f"cv of gaps {cv:.2f}")
    return ", ".join(known)


def hedge_in_words(hedge: Hedge) -> str:
    """When second copies are sent, in words."""
    if hedge.after is not None:
        return f"sent {hedge.after:g} s after the first"
    return f"sent after the {100 * (hedge.quantile or 0):g}th percentile of the agent’s own times"


def parameters_in_words(result: Shown) -> str:
    """The parameters of a policy."""
    named = result.policy.parameters.items()
    return "; ".join(f"{name} = {display.parameter(value)}" for name, value in named) or ABSENT
