"""A study's tables for a paper: every difference, and rankings as "a ± b", in LaTeX too."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from routingsim.evaluation.cell import HIGHER_IS_BETTER, METRICS
from routingsim.evaluation.intervals import together
from routingsim.evaluation.study_intervals import difference_of, differences, interval
from routingsim.evaluation.study_record import StudyRecord
from routingsim.formatting import ABSENT, cells, decimals

_HEADS = {
    "goodput": "right answers in time (1/s)",
    "quality": "quality",
    "quality_all": "quality of all tasks",
    "cost": "USD per 1,000 tasks",
    **{f"latency_{q}": f"latency {q} (s)" for q in ("mean", "p50", "p95", "p99")},
    **{f"first_token_{q}": f"first token {q} (s)" for q in ("mean", "p50", "p95", "p99")},
    "wait_mean": "mean wait (s)",
}
_ESCAPED = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        ABSENT: "--",
        **{each: f"\\{each}" for each in "&%$#_{}"},
    }
)


def every_difference(
    study: StudyRecord, metric: str | None, load: float | None, baseline: str | None
) -> pd.DataFrame:
    """Differences from the baseline, a row each, as ``Study.differences`` describes it."""
    against = study.baseline if baseline is None else baseline
    rows = [
        {
            "load": at,
            "metric": name,
            "policy": policy,
            "kind": study.kinds[policy],
            "baseline": against,
            "difference": found.interval.mean,
            "low": found.interval.low,
            "high": found.interval.high,
            "p_value": found.p_value,
            "verdict": found.verdict,
            "method": found.method,
            "correction": found.correction,
        }
        for at in (study.loads if load is None else (load,))
        for name in (METRICS if metric is None else (metric,))
        for policy, found in differences(study, name, at, baseline=against).items()
    ]
    return pd.DataFrame(rows)


def shown_metrics(study: StudyRecord, frame: pd.DataFrame) -> list[str]:
    """The metrics of a ranking, that of the ranking first."""
    known = [study.ranked_by, *study.main_metrics]
    return [name for name in dict.fromkeys(known) if f"{name}_hw" in frame]


def interval_cells(study: StudyRecord, frame: pd.DataFrame, load: float, metric: str) -> list[str]:
    """The values of a ranking's metric as ``a ± b``; costs per 1,000 tasks.

    They have as many decimals as at the study's other loads. Nothing is shown of times that say
    only how long the run was.
    """
    names = frame["policy"].tolist()
    pairs = {at: [_pair(study, name, at, metric) for name in names] for at in study.loads}
    places = decimals([pair for each in pairs.values() for pair in each], "interval")
    return cells(pairs[load], "interval", places)


def _pair(study: StudyRecord, name: str, load: float, metric: str) -> tuple[float | None, ...]:
    found = interval(study, name, load, metric).scaled(1000.0 if metric == "cost" else 1.0)
    unknown = not math.isfinite(found.mean) or study.lasts(metric, load, name)
    mean, width, *shift = found.parts
    return (None if unknown else mean, None if math.isnan(width) else width, *shift)


def best_and_ties(study: StudyRecord, load: float, metric: str) -> tuple[str, tuple[str, ...]]:
    """The policy with the best mean, and those that are not shown to differ from it (Holm)."""
    found = study.estimates(load, metric)
    means = {
        name: study.values(name, load, metric).mean()
        if found is None
        else found.policies[name].value
        for name in study.policies
        if not study.lasts(metric, load, name)
    }
    known = {name: mean for name, mean in means.items() if math.isfinite(mean)}
    if len(known) < 2:
        return "", ()
    best = (max if metric in HIGHER_IS_BETTER else min)(known, key=known.__getitem__)
    others = {
        name: difference_of(study, metric, load, best, name) for name in known if name != best
    }
    held = together(others)
    return best, tuple(name for name, each in held.items() if each.verdict != "better")


def formatted(study: StudyRecord, frame: pd.DataFrame, load: float) -> pd.DataFrame:
    """A ranking as texts for Markdown: the best policy of a metric in bold, ties with a dagger."""

    def marked(cell: str, name: str, best: str, ties: Sequence[str]) -> str:
        return f"**{cell}**" if name == best else f"{cell} †" if name in ties else cell

    return _texts(study, frame, load, marked)


def _texts(study: StudyRecord, frame: pd.DataFrame, load: float, marked: Any) -> pd.DataFrame:
    names = frame["policy"].tolist()
    columns: dict[str, Any] = {"policy": names}
    for metric in shown_metrics(study, frame):
        best, ties = best_and_ties(study, load, metric)
        texts = interval_cells(study, frame, load, metric)
        head = _HEADS.get(metric, metric)
        estimated = study.estimates(load, metric) is not None
        columns[f"estimated {head}" if estimated else head] = [
            marked(cell, name, best, ties) for cell, name in zip(texts, names, strict=True)
        ]
    columns["stability"] = frame["stability"].tolist()
    return pd.DataFrame(columns)


def latex(
    study: StudyRecord,
    rankings: Sequence[tuple[float, pd.DataFrame]],
    *,
    controls: bool,
    caption: str | None,
    label: str | None,
) -> str:
    """Rankings as a LaTeX table for booktabs, as ``Study.to_latex`` describes it."""

    def marked(cell: str, name: str, best: str, ties: Sequence[str]) -> str:
        if cell == ABSENT:
            return escaped(cell)
        mean, _, width = cell.partition(" ± ")
        text = escaped(mean) + (rf" \pm {width}" if width else "")
        text = text.replace(",", "{,}")
        text = text.replace(" (", r"\ [").replace(" to ", r",\ ").replace(")", "]")
        if name == best:
            return rf"$\mathbf{{{text}}}$"
        return f"${text}^{{\\dagger}}$" if name in ties else f"${text}$"

    tables = []
    for load, ranking_at in rankings:
        kept = ranking_at if controls else ranking_at.query("kind == 'policy'")
        tables.append((load, _texts(study, kept.reset_index(drop=True), load, marked)))
    heads = list(tables[0][1].columns)
    lines = [
        rf"\begin{{tabular}}{{l{'r' * (len(heads) - 2)}l}}",
        r"\toprule",
        _row(map(escaped, heads)),
    ]
    for load, table in tables:
        said = f"Load {load:g}: {study.arrivals_at(load)}"
        lines += [r"\midrule", rf"\multicolumn{{{len(heads)}}}{{l}}{{{escaped(said)}}} \\"]
        for row in table.itertuples(index=False):
            first, *middle, last = row
            lines.append(_row([escaped(str(first)), *map(str, middle), escaped(str(last))]))
    lines += [r"\bottomrule", r"\end{tabular}"]
    if caption is None and label is None:
        return "\n".join(lines) + "\n"
    around = [r"\begin{table}", r"\centering"]
    around += [rf"\caption{{{caption}}}"] if caption is not None else []
    around += [rf"\label{{{label}}}"] if label is not None else []
    return "\n".join([*around, *lines, r"\end{table}"]) + "\n"


def _row(texts: Iterable[str]) -> str:
    return f"{' & '.join(texts)} \\\\"


def escaped(text: str) -> str:
    """A text with LaTeX's own characters escaped."""
    return text.translate(_ESCAPED)
