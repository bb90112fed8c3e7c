"""A study in words and in its short tables: what a terminal and a notebook show."""

from collections.abc import Iterable, Sequence
from html import escape

import pandas as pd

from routingsim import display
from routingsim.evaluation import resampling
from routingsim.evaluation.study_intervals import leading
from routingsim.evaluation.study_paper import interval_cells
from routingsim.evaluation.study_record import StudyRecord
from routingsim.formatting import short, tight
from routingsim.simulation.recorded import basis_notes

_UNITS = {
    "goodput": "goodput (1/s)",
    "cost": "cost (USD per 1,000 tasks)",
    "latency_mean": "mean latency (s)",
    "latency_p95": "latency p95 (s)",
}
_SHORT = {  # to fit a terminal
    "not distinguishable": "unclear",
    "not comparable": "-",
    "no verdict": "-",
    "baseline": "base",
    "too short to say": "too short",
}


def below(study: StudyRecord) -> list[str]:
    """Notes that stand below the figures, without the corpus's own."""
    return [*basis_notes(study.corpus, study.pool), *_on_whom(study), *study.remarks]


def _noted(notes: Iterable[str]) -> list[str]:
    return [f"note: {note}" for note in notes]


def _on_whom(study: StudyRecord) -> list[str]:
    """Which tasks the intervals and verdicts are about, unless about other tasks like these."""
    if not study.settings.sampled:
        return [
            f"intervals and verdicts are of these {len(study.corpus):,} tasks alone, and say "
            "nothing of others like them"
        ]
    counted = min(study.prompts("goodput", load) for load in study.loads)
    if counted >= resampling.LEAST:
        return []
    return [
        f"{counted} different tasks: intervals and verdicts on tasks like these need "
        f'{resampling.LEAST} or more; population="these tasks" asks about these alone'
    ]


def _in_sample(study: StudyRecord) -> list[str]:
    """Which policies are in-sample, with the share of texts that they were fitted on (%)."""
    shares = {name: study.in_sample.get(name, 0.0) for name in study.policies}
    return [
        f"{name} is in-sample: fitted or chosen on {100 * share:.3g} % of these tasks' texts, "
        "so its figures are too favourable"
        for name, share in shares.items()
        if share
    ]


def _title(study: StudyRecord) -> str:
    """What was run."""
    policies = len(study.policies)
    return (
        f"Study: {policies} policies and {len(study.names) - policies} controls at loads "
        f"{', '.join(f'{load:g}' for load in study.loads)} x {study.settings.replications} "
        f"replications of {study.settings.tasks:,} tasks ({study.corpus.name})"
    )


def _heading(study: StudyRecord, load: float) -> str:
    """What a ranking shows."""
    return (
        f"At load {load:g} ({study.arrivals_at(load)}), by "
        f"{'estimated ' * (study.ranked_by == 'quality')}{study.ranked_by}"
    )


def _shown(study: StudyRecord, ranking: pd.DataFrame) -> list[str]:
    """The columns of a ranking that people read, with what qualities rest on."""
    basis = [name for name in ("estimate", "recorded") if name in ranking]
    return list(
        dict.fromkeys(
            [study.ranked_by, *study.main_metrics[:1], *basis, *study.main_metrics[1:], "stability"]
        )
    )


Rankings = Sequence[tuple[float, pd.DataFrame]]
"""The ranking at each load, as ``Study.table`` gives it."""


def plain(study: StudyRecord, rankings: Rankings, answer: str) -> str:
    """What a terminal shows: the rankings with intervals, and notes around them."""
    lines = [_title(study), *_noted(study.cautions), f"Answer: {answer}"]
    lines = list(map(display.wrapped, lines))
    for load, ranking in rankings:
        lead = leading(study, load)
        lines += map(display.wrapped, [*filter(None, [lead]), f"{_heading(study, load)}:"])
        lines.append(_plain_table(study, load, ranking))
    notes = _noted([*_in_sample(study), *below(study), "latencies are simulated"])
    return "\n".join([*lines, *map(display.wrapped, notes)])


def _plain_table(study: StudyRecord, load: float, ranking: pd.DataFrame) -> str:
    heads = {
        "latency_mean": "mean s",
        "latency_p95": "p95 s",
        "cost": "USD/1000",
        "goodput": "good/s",
        "quality_all": "of all",
        "recorded": "known",
    }
    columns: dict[str, list[str]] = {}
    for name in _shown(study, ranking):
        if name == "latency_mean" and study.ranked_by != name:
            continue  # so that the line fits a terminal
        if f"{name}_hw" in ranking:
            cells = interval_cells(study, ranking, load, name)
            columns[heads.get(name, name)] = list(map(tight, cells))
        else:
            values = ranking[name].tolist()
            columns[heads.get(name, name)] = [
                each if isinstance(each, str) else short(each, 3) for each in values
            ]
    if "cost_estimate" in ranking:
        columns = {"USD est." if n == "USD/1000" else n: each for n, each in columns.items()}
    table = pd.DataFrame({"policy": ranking["policy"], **columns, "verdict": ranking["verdict"]})
    table = table.replace({"verdict": _SHORT, "stability": _SHORT})
    *figures, last = table.columns[1:]
    for parts in [[[*figures, last]], [[*figures[:3], last], figures[3:]]]:
        text = "\n\n".join(_part(table.loc[:, ["policy", *names]]) for names in parts)
        if display.fits(text):
            break
    return text


def _part(table: pd.DataFrame) -> str:
    def render(names: Sequence[str]) -> str:
        return table.assign(policy=names).to_string(index=False)

    return display.fitted(table["policy"].tolist(), render)


def html(study: StudyRecord, rankings: Rankings, answer: str) -> str:
    """What a notebook shows: the answer, and the rankings with notes around them."""
    tables = []
    for load, ranking in rankings:
        shown = _shown(study, ranking)
        frame = ranking.head(display.MOST_ROWS)
        columns = [
            interval_cells(study, frame, load, name)
            if f"{name}_hw" in frame
            else [each if isinstance(each, str) else short(each, 3) for each in frame[name]]
            for name in shown
        ]
        marks = {"quality": "estimate", "quality_all": "estimate", "cost": "cost_estimate"}
        heads = [
            "estimated " * (marks.get(name) in ranking) + _UNITS.get(name, name.replace("_", " "))
            for name in shown
        ]
        rows = list(
            map(list, zip(frame["policy"], frame["kind"], *columns, frame["verdict"], strict=True))
        )
        said = " ".join(filter(None, [f"{_heading(study, load)}.", leading(study, load)]))
        tables.append(
            f"<p>{escape(said)}</p>"
            + display.table(["policy", "kind", *heads, f"against {study.baseline}"], rows)
        )
    return display.card(
        _title(study),
        "".join(tables),
        ["latencies are simulated", *_noted(below(study))],
        first=[*_noted(study.cautions), answer],
    )
