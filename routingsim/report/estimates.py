"""The section on estimates from a log with one answer a task, and the plot of their sensitivity."""

from functools import partial

import numpy as np
from matplotlib.axes import Axes

from routingsim.evaluation import partial as logs
from routingsim.evaluation.sensitivity import GAMMAS, Sensitivity
from routingsim.formatting import upper_first
from routingsim.report.axes import Look, axes_or_new, band, drawable, finish, with_legend
from routingsim.report.document import Block, Column, Gallery, Picture, Section, table
from routingsim.report.figures import Comparison

_ABOUT = (
    "The log holds the answer of the agent that served a task and no other. A policy that sends "
    "the task elsewhere can only be estimated: from the answers of similar tasks, corrected where "
    "the log chose as the policy would, by how likely that choice was (a cross-fitted doubly "
    "robust estimate)."
)
_VERDICTS = (
    "“Answered”: the log made enough choices like the policy’s, at recorded probabilities. "
    "“Weak”: read the figure with the reasons below. “Cannot”: the log says nothing of this "
    "policy, and no figure is shown. “Worth” is the number of tasks that the policy itself would "
    "have to serve to tell as much."
)
_GAMMA = (
    "Γ is how far the odds of a choice may be off because the router knew more than the log "
    "shows (1: not at all). From the Γ on at which a band reaches 0, all of the difference may be "
    "due to that: the answer turns (marginal sensitivity model, Tan 2006)."
)
_ESTIMATE = Column("estimated quality", "0–1", "interval")
_DIFFERENCE = Column("difference", "0–1", "interval")
_WORTH = Column("worth", "tasks", "count")
_RECORDED = Column("answers recorded", "%", "percent")


def estimates_section(at: Comparison) -> Section | None:
    """What the log can say of the policies' quality; None for any other corpus."""
    found = at.estimates.get("quality")
    if found is None:
        return None
    each = [found.policies[entry.name] for entry in at.entries]
    columns = [
        ("policy", [entry.name for entry in at.entries]),
        (_ESTIMATE, [one.interval.parts for one in each]),
        ("estimate", [one.verdict for one in each]),
        (_WORTH, [round(one.support.planned) for one in each]),
        (_RECORDED, [entry.mean("recorded") for entry in at.entries]),
    ]
    policies = {entry.name for entry in at.policies}
    pairs = [p for p in found.differences.values() if {p.first, p.second} <= policies]
    differences = [
        ("policies", [f"{pair.first} less {pair.second}" for pair in pairs]),
        (_DIFFERENCE, [pair.interval.parts for pair in pairs]),
        ("the first is", ["not known" if p.verdict == "cannot" else p.comparison for p in pairs]),
        ("estimate", [pair.verdict for pair in pairs]),
    ]
    names = [f"{name}{mark}" for name in found.policies for mark in ",:"]
    text = [_ABOUT, _VERDICTS]
    text += [f"{upper_first(reason, names)}." for reason in logs.reasons(found)]
    if found.unserved:
        text.append(f"{found.unserved:,} tasks that no one agent served are left out.")
    blocks: list[Block] = [table(f"Estimates over {found.tasks:,} tasks", columns)]
    if pairs:
        blocks.append(table("All differences, with intervals that hold together", differences))
    curves = _curves(at)
    if curves:
        text.append(_GAMMA)
        said = _in_words(at, curves)
        picture = Picture("Hidden confounding", said, said, partial(draw_sensitivity, at))
        blocks.append(Gallery("sensitivity", (picture,), (4.2, with_legend(list(curves)))))
    return Section("estimates", "What the log can say of quality", tuple(text), tuple(blocks))


def advice_section(at: Comparison) -> Section | None:
    """How to make a log that answers; None where this one does."""
    found = at.estimates.get("quality")
    if found is None or logs.verdict_of(found) == "answered":
        return None
    return Section("advice", "A log that can answer", (logs.advice(found),))


def _curves(at: Comparison) -> dict[str, Sensitivity]:
    """The curve of each policy's difference from the baseline, unless the log cannot answer."""
    found = at.estimates["quality"]
    curves = {}
    for entry in at.policies[1:]:
        pair = logs.difference_of(found, entry.name, at.baseline.name)
        if pair.verdict != "not comparable" and pair.interval.mean:
            curves[entry.name] = found.sensitivity(entry.name, at.baseline.name)
    return curves


def _in_words(at: Comparison, curves: dict[str, Sensitivity]) -> str:
    """At which Γ each difference turns."""
    said = [f"{name} against {at.baseline.name}: {curve}" for name, curve in curves.items()]
    return f"{'; '.join(said)}."


def draw_sensitivity(at: Comparison, ax: Axes | None = None) -> Axes:
    """Bounds on each policy's difference in quality from the baseline, against Γ."""
    curves, keys = _curves(at), []
    ax = axes_or_new(ax)
    colours = {entry.name: entry.style.colour for entry in at.policies}
    for name, curve in curves.items():
        band(ax, curve.gamma, curve.interval_low, curve.interval_high, colours[name], 0.2)
        look: Look = {"color": colours[name], "label": drawable(name)}
        keys += ax.plot(curve.gamma, (curve.low + curve.high) / 2, **look)
    ax.axhline(0, color="0.5", linewidth=0.8)
    ax.set_xscale("log")
    shown = np.array(GAMMAS)[[0, 3, 4, 5, 6, 7]]
    ax.set_xticks(shown, [f"{gamma:g}" for gamma in shown])
    ax.minorticks_off()
    label = f"quality less {drawable(at.baseline.name)}'s"
    empty = "" if curves else "the log cannot answer"
    return finish(ax, "Hidden confounding", "Γ, odds of a choice off by", label, keys, empty=empty)
