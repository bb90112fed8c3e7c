"""A replay in words and in its short tables: what a terminal, a notebook and JSON show."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from routingsim import display
from routingsim.formatting import short
from routingsim.simulation import recovery
from routingsim.simulation.arrival_notes import seconds
from routingsim.simulation.conditions import as_plain
from routingsim.simulation.remarks import whose_agents
from routingsim.simulation.run_record import RunRecord
from routingsim.simulation.run_summary import (
    QUANTILES,
    by_priority,
    by_tenant,
    fairness,
    quality_columns,
)
from routingsim.simulation.stability import Stability

_SHOWN = (
    ("tasks", "tasks", "{:,.0f}"),
    ("share", "share", "{:.1%}"),
    ("utilisation", "utilisation", "{:.1%}"),
    ("wait_mean", "mean wait (s)", "{:.2f}"),
    ("latency_p50", "p50 (s)", "{:.2f}"),
    ("latency_p95", "p95 (s)", "{:.2f}"),
    ("first_token_p95", "first token p95 (s)", "{:.2f}"),
    ("cost", "cost (USD)", "{:,.4g}"),
)

_GROUPS = 8  # tenants that are named in a line


def as_dict(run: RunRecord, summary: pd.DataFrame) -> dict[str, Any]:
    """The summary as plain Python values, NaN as None: ``--json`` prints it."""
    table = summary.astype(object).where(summary.notna(), None)
    rows = table.reset_index().to_dict("records")
    whole = rows.pop()
    del whole["agent"]
    begin, end = run.window
    return {
        "policy": run.policy.name,
        "arrivals": {
            "process": run.arrivals,
            "rate": _none(run.realised[0]),
            "cv": _none(run.realised[1]),
            "rate_asked": _none(run.asked[0]),
            "cv_asked": _none(run.asked[1]),
            "span": run.span,
        },
        "conditions": as_plain(run.conditions),
        "window": {"begin": begin, "end": end, "warm_up": run.warm_up},
        "stability": verdict(run.stability),
        "recorded": run.basis.kind,
        "checkup": None if run.corpus is None else run.corpus.check(run.pool).to_dict(),
        "overall": whole,
        "agents": rows,
        "tenants": plain_rows(by_tenant(run)) if len(run.tenant_names) > 1 else [],
        "fairness": _none(fairness(run)),
        "priorities": plain_rows(by_priority(run)) if run.work.priority.size else [],
        "recovery": recovery.as_dicts(recovery.table(run, window=None, replications=0)),
        "notes": list(run.notes),
    }


def verdict(found: Stability) -> dict[str, Any]:
    """The verdict on a run for JSON."""
    return {
        "verdict": found.verdict,
        "reason": found.reason,
        "offered": {a: _none(load) for a, load in found.offered.items()},
        "error": {a: _none(error) for a, error in found.error.items()},
        "half_width": _none(found.half_width),
        "enough": found.enough,
        "above": found.above,
        "peak": found.peak,
        "left": found.left,
    }


def plain_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table with an index as plain values, NaN as None."""
    plain = table.astype(object).where(table.notna(), None)
    return plain.reset_index().to_dict("records")


def title(run: RunRecord) -> str:
    """What was run, in a line."""
    name = run.corpus.name if run.corpus is not None else "no corpus"
    return f"{len(run):,} tasks ({name}) under {run.policy.name}, {run.arrivals}, seed {run.seed}"


def arrivals_in_words(run: RunRecord) -> str:
    """The rate asked for beside that met, with the span of the run."""
    return arrivals_met(run.asked, run.realised, run.span)


def arrivals_met(
    asked: tuple[float | None, float | None], met: tuple[float, float], span: float
) -> str:
    """The same from rates and coefficients of variation."""
    known = _rate_cv(asked)
    before = f"{known} asked for, " if known else ""
    return f"arrivals: {before}{_rate_cv(met) or 'no rate'} met over {seconds(span)}"


def foremost(run: RunRecord) -> list[str]:
    """Notes without which no figure is to be read, and which stand before all.

    That the pool is not the corpus's, that the arrivals are not those asked for, and the run's
    ``cautions``.
    """
    return [*filter(None, (whose_agents(run.corpus, run.pool), run.unlike, *run.cautions))]


def _preface(run: RunRecord) -> list[str]:
    """Remarks on how to read the figures: arrivals, stability, warm-up."""
    said = [arrivals_in_words(run), str(run.stability)]
    if run.warm_up:
        said.append(
            f"timing figures from {run.window[0]:.4g} s on: the first {run.warm_up:.0%} is warm-up"
        )
    return said


def _remarks(run: RunRecord, whole: Mapping[str, Any]) -> list[str]:
    """Remarks after the figures: tasks not answered, and notes."""
    lost = {name: int(whole[name]) for name in run.endings}
    said = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in lost.items() if n)
    remarks = [f"not answered: {said}"] if said else []
    remarks += groups_in_words(run)
    if run.hedge is not None:
        remarks.append(
            f"second copies of {whole['hedged']:.1%} of the tasks; copies that did not decide "
            f"took {whole['spare']:.1%} of the seconds of service"
        )
    remarks += recovery.in_words(recovery.table(run, window=None, replications=0))
    if run.basis.kind == "log" and whole["recorded"] < 1:
        remarks.append(
            f"quality: known for {whole['recorded']:.1%} of the answers, those of the agent "
            "that served the task in the log; their mean is not this policy's quality, which "
            "routingsim.evaluation.replay_estimates(result) estimates"
        )
    notes = [note for note in run.notes if note not in foremost(run)]
    return [*remarks, *(f"note: {n}" for n in notes)]


def first_tokens_line(whole: Mapping[str, Any]) -> list[str]:
    """When first tokens came, if agents stream their answers."""
    if "first_token_mean" not in whole:
        return []
    said = [f"{q} {_as_text(whole[f'first_token_{q}'], '{:.2f}')} s" for q in ("mean", *QUANTILES)]
    return [f"first tokens: {', '.join(said)}"]


def groups_in_words(run: RunRecord) -> list[str]:
    """Waits and latencies by priority and by tenant, a line for each kind."""
    several = len(run.tenant_names) > 1
    return groups_lines(
        by_priority(run) if run.work.priority.size else None,
        by_tenant(run) if several else None,
        fairness(run) if several else math.nan,
    )


def groups_lines(
    priorities: pd.DataFrame | None, tenants: pd.DataFrame | None, index: float
) -> list[str]:
    """The same from the tables there are, and Jain's index of tenants."""
    lines = []
    for table in (priorities, tenants):
        if table is None:
            continue
        rows = table.head(_GROUPS).reset_index().to_dict("records")
        each = [
            f"{row[table.index.name]} {_as_text(row['service'], '{:.1%}')} of the service, mean "
            f"wait {_as_text(row['wait_mean'], '{:.2f}')} s, p95 "
            f"{_as_text(row['latency_p95'], '{:.2f}')} s"
            for row in rows
        ]
        more = len(table) - len(rows)
        lines.append(f"by {table.index.name}: {'; '.join(each)}{f'; {more} more' * (more > 0)}")
    if tenants is not None:
        lines[-1] += f"; Jain's index {index:.3f}"
    return lines


def plain(run: RunRecord, summary: pd.DataFrame) -> str:
    """What a terminal shows: the summary with remarks around it."""
    shown = ["tasks", "share", "utilisation", "wait_mean", "latency_p50", "latency_p95", "cost"]
    short = {"utilisation": "used", "wait_mean": "wait s", "cost": "USD"}
    short |= {f"latency_{q}": f"{q} s" for q in QUANTILES}
    short |= {"quality_all": "of all", "recorded": "known"}
    shown += [key for key, *_ in quality_columns(summary.loc["all"], run.basis.kind)]
    table = pd.DataFrame(summary, columns=shown).rename(columns=short)

    def render(names: Sequence[str]) -> str:
        named = table.set_axis(pd.Index(names, name="agent"))
        return named.to_string(float_format="%.3g", na_rep="-")

    return "\n".join(
        [
            display.wrapped(f"ReplayResult: {title(run)}"),
            *(display.wrapped(f"note: {said}") for said in foremost(run)),
            *map(display.wrapped, _preface(run)),
            display.fitted([str(name) for name in table.index], render),
            *map(display.wrapped, first_tokens_line(summary.loc["all"])),
            *map(display.wrapped, _remarks(run, summary.loc["all"])),
        ]
    )


def html(run: RunRecord, summary: pd.DataFrame) -> str:
    """The summary as a notebook shows it: at most 40 agents, those with most tasks."""
    below = [*_preface(run), *_remarks(run, summary.loc["all"])]
    return summary_html(title(run), summary, run.basis.kind, foremost(run), below)


def summary_html(
    heading: str, summary: pd.DataFrame, recorded: str, notes: Sequence[str], below: Sequence[str]
) -> str:
    """The same from a summary, the qualities recorded, and what stands before and below it."""
    agents = summary.iloc[:-1]
    most = np.sort(np.argsort(-agents["tasks"], kind="stable")[: display.MOST_ROWS])
    heads, rows = _as_texts(summary, recorded, [*most, len(agents)])
    more = len(agents) - len(most)
    return display.card(
        heading,
        display.table(heads, rows, strong=len(rows) - 1),
        [*([f"{more:,} agents with fewer tasks"] if more else []), *below],
        first=[f"note: {said}" for said in notes],
    )


def markdown(run: RunRecord, summary: pd.DataFrame) -> str:
    """The summary as a table in GitHub's Markdown, with the columns of :func:`html`.

    What is to be known first, the arrivals met and the verdict stand before it.
    """
    return summary_markdown(summary, run.basis.kind, foremost(run), _preface(run))


def summary_markdown(
    summary: pd.DataFrame, recorded: str, notes: Sequence[str], preface: Sequence[str]
) -> str:
    """The same from a summary, the qualities recorded, and what stands before it."""
    lines = [
        f"- {display.markdown_text(each)}"
        for each in (*(f"note: {said}" for said in notes), *preface)
    ]
    table = display.markdown_table(*_as_texts(summary, recorded, range(len(summary))))
    return "\n".join([*lines, "", table])


def _as_texts(
    summary: pd.DataFrame, recorded: str, rows: Iterable[int]
) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of the summary as people read them: the agent, then what is shown of it."""
    known = [each for each in _SHOWN if each[0] in summary]
    columns = (*known, *quality_columns(summary.loc["all"], recorded))
    records = summary.iloc[list(rows)].reset_index().to_dict("records")
    return ["agent", *(head for _, head, _ in columns)], [
        [str(row["agent"]), *(_as_text(row[key], form) for key, _, form in columns)]
        for row in records
    ]


def _rate_cv(pair: tuple[float | None, float | None]) -> str:
    """Rate and cv of arrivals in words, as far as they are known."""
    rate, cv = (_none(value) for value in pair)
    said = [] if rate is None else [f"{short(rate, 3)}/s"]
    return " ".join([*said, *([] if cv is None else [f"(cv {short(cv, 3)})"])])


def _as_text(value: float, form: str) -> str:
    return "–" if math.isnan(value) else form.format(value)


def _none(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
