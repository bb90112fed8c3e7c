"""The ranking of a study at a load, and its columns that people read."""

from typing import Any

import numpy as np
import pandas as pd

from routingsim.evaluation import partial, ranking
from routingsim.evaluation.cell import HIGHER_IS_BETTER
from routingsim.evaluation.controls.permutation import TextUse, text_use
from routingsim.evaluation.intervals import holm
from routingsim.evaluation.study_intervals import by_mean, difference_of, differences, interval
from routingsim.evaluation.study_record import StudyRecord
from routingsim.simulation.statistics import either_side


def uses_text(study: StudyRecord, name: str, load: float) -> TextUse:
    """Whether choices fit their tasks better than shuffled, as ``Study.uses_text`` describes."""
    return text_use(study.outcomes, study.cell(name, load).unseen, groups=study.group)


def table(study: StudyRecord, load: float, metric: str) -> pd.DataFrame:
    """The ranking at a load by a metric, as ``Study.table`` describes it."""
    frame = _columns(study, load, metric)
    if (found := study.estimates(load, metric)) is not None:
        ranks, by = partial.ranks(found), "rank"
    else:
        ranked = (frame["verdict"] != "not comparable") & frame[metric].notna()
        shown = set(frame["policy"][ranked])
        ranks, by = (
            {n: rank for n, rank in _ranks(study, load, metric).items() if n in shown},
            "mean",
        )
    order = [ranks.get(name) for name in frame["policy"]]
    frame.insert(0, "rank", pd.Series(order, dtype="Int64"))
    sign = -1 if metric in HIGHER_IS_BETTER else 1
    frame["mean"] = (sign * frame[metric]).where([rank is not None for rank in order])
    return frame.sort_values(by, kind="stable", ignore_index=True).drop(columns="mean")


def _columns(study: StudyRecord, load: float, metric: str) -> pd.DataFrame:
    """A row for each policy and control, not ranked."""
    apart, uses = differences(study, metric, load), _text_users(study, load)
    found, cost = study.estimates(load, metric), study.estimates(load, "cost")
    partly = any(study.values(name, load, "recorded").min() < 1 for name in study.names)
    rows = []
    for name in study.names:
        row: dict[str, Any] = {"policy": name, "kind": study.kinds[name]}
        for shown in dict.fromkeys([metric, *study.main_metrics]):
            figure = either_side(interval(study, name, load, shown))
            row[shown], row[f"{shown}_hw"] = figure.mean, figure.half_width
        if found is not None:
            row["estimate"] = found.policies[name].verdict
        if cost is not None:
            row["cost_estimate"] = cost.policies[name].verdict
        if partly and study.recorded:
            row["recorded"] = study.values(name, load, "recorded").mean()
        row["answered"] = study.values(name, load, "answered").mean()
        row["stability"] = study.cell(name, load).verdict
        row["verdict"] = "baseline" if name not in apart else apart[name].verdict
        row["uses_text"] = uses.get(name)
        row["in_sample"] = study.in_sample.get(name, 0.0)
        rows.append(row)
    return pd.DataFrame(rows)


def _ranks(study: StudyRecord, load: float, metric: str) -> dict[str, int]:
    controls = [name for name, kind in study.kinds.items() if kind == "control"]
    policies = by_mean(study, study.policies, load, metric)
    beside = by_mean(study, controls, load, metric)
    return ranking.ranks(policies, beside, lambda *both: difference_of(study, metric, load, *both))


def _text_users(study: StudyRecord, load: float) -> dict[str, bool]:
    if study.basis.kind == "log" or not np.isfinite(study.outcomes).all(axis=1).any():
        return {}
    p = holm([uses_text(study, name, load).p_value for name in study.policies])
    return dict(zip(study.policies, (p <= 0.05).tolist(), strict=True))
