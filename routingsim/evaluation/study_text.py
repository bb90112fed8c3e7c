"""A study in words and in its short tables: what a terminal and a notebook show."""

import math
from collections.abc import Iterable, Sequence

import pandas as pd

from routingsim import display
from routingsim.evaluation import resampling
from routingsim.evaluation.study_intervals import leading
from routingsim.evaluation.study_record import StudyRecord
from routingsim.simulation.recorded import basis_notes

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
    """Of which tasks the intervals and verdicts are, where it is not of others like these."""
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
    """Of which policies the tasks' texts are those fitted on, in per cent."""
    shares = {name: study.in_sample.get(name, 0.0) for name in study.policies}
    return [
        f"{name} is in-sample: fitted or chosen on {100 * share:.3g} % of these tasks' texts, "
        "which flatters it"
        for name, share in shares.items()
        if share
    ]


def _title(study: StudyRecord) -> tuple[str, str]:
    """What was run, and what the table shows."""
    policies = len(study.policies)
    return (
        f"Study: {policies} policies and {len(study.names) - policies} controls at loads "
        f"{', '.join(f'{load:g}' for load in study.loads)} x {study.settings.replications} "
        f"replications of {study.settings.tasks:,} tasks ({study.corpus.name})",
        f"At load {study.loads[-1]:g} ({study.arrivals_at(study.loads[-1])}), by "
        f"{'estimated ' * (study.ranked_by == 'quality')}{study.ranked_by}; "
        "latencies are simulated:",
    )


def _shown(study: StudyRecord, ranking: pd.DataFrame) -> list[str]:
    """The columns of a ranking that people read, with what qualities rest on."""
    basis = [name for name in ("estimate", "recorded") if name in ranking]
    return list(
        dict.fromkeys(
            [study.ranked_by, *study.main_metrics[:1], *basis, *study.main_metrics[1:], "stability"]
        )
    )


def plain(study: StudyRecord, ranking: pd.DataFrame) -> str:
    """What a terminal shows: the ranking given, with notes around it."""
    first, second = _title(study)
    short = {
        "latency_mean": "mean s",
        "latency_p95": "p95 s",
        "cost": "USD est." if "cost_estimate" in ranking else "USD",
        "goodput": "good/s",
        "quality_all": "of all",
        "recorded": "known",
    }
    table = (
        pd.DataFrame(ranking, columns=["policy", *_shown(study, ranking), "verdict"])
        .rename(columns=short)
        .replace({"verdict": _SHORT, "stability": _SHORT})
    )

    def render(names: Sequence[str]) -> str:
        return table.assign(policy=names).to_string(index=False, float_format="%.3g")

    text = display.fitted(table["policy"].tolist(), render)
    lead = filter(None, [leading(study)])
    lines = [*map(display.wrapped, (first, *_noted(study.cautions), *lead, second)), text]
    notes = _noted([*_in_sample(study), *below(study)])
    return "\n".join([*lines, *map(display.wrapped, notes)])


def html(study: StudyRecord, ranking: pd.DataFrame) -> str:
    """What a notebook shows: the ranking given, with notes around it."""
    first, second = _title(study)
    shown = ["policy", "kind", *_shown(study, ranking)]
    frame = ranking.head(display.MOST_ROWS)[[*shown, "verdict"]]
    rows = [
        [
            cell if isinstance(cell, str) else "–" if math.isnan(cell) else f"{cell:.4g}"
            for cell in row
        ]
        for row in frame.itertuples(index=False)
    ]
    marks = {"quality": "estimate", "quality_all": "estimate", "cost": "cost_estimate"}
    heads = ["estimated " * (marks.get(name) in ranking) + name.replace("_", " ") for name in shown]
    heads.append(f"against {study.baseline}")
    return display.card(
        first,
        display.table(heads, rows),
        [f"{second[:-1]}.", *filter(None, [leading(study)]), *_noted(below(study))],
        first=_noted(study.cautions),
    )
