"""Plots of replays. Each takes results and ``ax=``, and returns the matplotlib Axes.

Without ``ax`` a pyplot figure is made, so that a notebook shows it. An agent has the same
colour in all of them (:mod:`routingsim.report.palette`) and is named by its id;
matplotlib's global settings stay as they are.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from routingsim.evaluation.controls.simulated import controls_for_replays
from routingsim.report.axes import Look, axes_or_new, drawable, finish, font, log_axis, with_legend
from routingsim.report.frontier import plot_frontier
from routingsim.report.palette import INK, OTHERS, agent_colours, agent_dashes, policy_styles
from routingsim.report.plot_data import (
    INTERVALS,
    Shown,
    latency_curve,
    leading_agents,
    time_unit,
    waiting,
)
from routingsim.simulation.result import ReplayResult
from routingsim.simulation.stream_result import StreamedReplay

_NAMED = 8  # agents with a colour of their own in a plot; the rest are drawn as one
_BARS = 20
_MARKS = {"p50": "o", "p95": "s", "p99": "^"}


def plot_usage(result: Shown, ax: Axes | None = None, *, legend: str = "") -> Axes:
    """Share of tasks (bar) and utilisation (diamond) of each agent, in percent.

    Parameters
    ----------
    result : ReplayResult
        What to show. Of more than 20 agents those with the fewest tasks are one bar.
    ax : Axes, optional
        Where to draw; a new pyplot figure by default.
    legend : {"", "below", "right", "none"}
        Where names stand; by default below the axes.

    Raises
    ------
    SimulationError
        If there is no such place for a legend.
    """
    agents = len(result.pool)
    shown = leading_agents(result, _BARS)
    tasks, used = result.summary()[["share", "utilisation"]].to_numpy()[:-1].T
    names = [drawable(result.pool.ids[a], 20) for a in shown]
    colours = [agent_colours(agents)[a] for a in shown]
    shares, loads = [*tasks[shown]], [*used[shown]]
    rest = np.setdiff1d(np.arange(agents), shown)
    if rest.size:
        slots = result.pool.column("concurrency")[rest]
        names.append(f"{rest.size} others")
        colours.append(OTHERS)
        shares.append(tasks[rest].sum())
        loads.append(used[rest] @ slots / slots.sum())

    ax = axes_or_new(ax, height=1.2 + 0.2 * max(len(names), 4))
    rows = np.arange(len(names))
    size = font(8 if len(names) <= 12 else 6)
    ax.barh(rows, 100 * np.array(shares), color=colours, height=0.62)
    marks: Look = {"color": INK, "marker": "D", "linestyle": ""}
    ax.plot(100 * np.array(loads), rows, markersize=size / 2, clip_on=False, zorder=4, **marks)
    ax.set_yticks(rows, names, fontsize=size)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlim(0, 100)
    ax.xaxis.set_major_locator(ticker.MultipleLocator(25))
    keys = [
        Patch(color=OTHERS, label="share of tasks"),
        Line2D([], [], markersize=4, label="utilisation", **marks),
    ]
    said = "share of tasks, utilisation (%)"
    finish(ax, result.policy.name, said, "agent", keys, grid="x", legend=legend)
    ax.tick_params(axis="y", length=0)
    return ax


def plot_latency(result: Shown, ax: Axes | None = None, *, legend: str = "") -> Axes:
    """Distribution of latency (s) of each agent and of all, percentiles marked.

    Empirical distribution functions of tasks answered after the warm-up, on a log axis.

    Parameters
    ----------
    result : ReplayResult
        What to show. Of more than eight agents, those with fewest tasks are grey.
    ax : Axes, optional
        Where to draw; a new pyplot figure by default.
    legend : {"", "below", "right", "none"}
        Where names stand; by default below the axes.

    Raises
    ------
    SimulationError
        If there is no such place for a legend.
    """
    ax = axes_or_new(ax)
    agents = len(result.pool)
    colours, dashes = agent_colours(agents), agent_dashes(agents)
    named = leading_agents(result, _NAMED).tolist()
    keys: list[Line2D] = []
    for a in range(agents):
        look: Look = {"color": OTHERS, "linewidth": 0.6, "zorder": 2}
        if a in named:
            look = {"color": colours[a], "linewidth": 1.2, "zorder": 3}
        name = drawable(result.pool.ids[a], 18)
        curve = _distribution(ax, latency_curve(result, a), linestyle=dashes[a], label=name, **look)
        keys += curve if a in named else []
    whole = latency_curve(result)
    keys = _distribution(ax, whole, color=INK, linewidth=2.4, zorder=2.5, label="all") + keys
    if whole is not None:
        _mark_percentiles(ax, result)
        if agents > len(named):
            keys.append(Line2D([], [], color=OTHERS, linewidth=0.6, label="other agents"))
    return _finish_distributions(ax, result.policy.name, keys, legend, _above_capacity(result))


def _above_capacity(result: Shown) -> str:
    """What is said of times that grow with the run, where they do."""
    return ", above capacity" if result.stability.lasts else ""


def _distribution(ax: Axes, curve: Sequence[Any] | None, **look: Any) -> list[Line2D]:
    """Draw how latencies are distributed; nothing where there is none."""
    return [] if curve is None else ax.plot(*curve, drawstyle="steps-post", **look)


def _finish_distributions(
    ax: Axes, title: str, keys: Sequence[Line2D], legend: str, said: str = ""
) -> Axes:
    if keys:
        log_axis(ax)
    ax.set_ylim(0, 101)
    labels = title, f"latency (s){said}", "answers (%)"
    empty = "" if keys else "no task was answered"
    return finish(ax, *labels, keys, empty=empty, legend=legend)


def _mark_percentiles(ax: Axes, result: Shown) -> None:
    """Mark p50, p95 and p99 on the curve, with their values in the upper left corner."""
    shares = [float(name[1:]) for name in _MARKS]
    found = [result.overall[f"latency_{name}"] for name in _MARKS]
    look: Look = {"color": INK, "markersize": 4.5, "markeredgecolor": "white"}
    look |= {"markeredgewidth": 0.6, "zorder": 5}
    keys = []
    for value, share, (name, mark) in zip(found, shares, _MARKS.items(), strict=True):
        keys += ax.plot(value, share, mark, label=f"{name}  {value:.3g} s", **look)
    box = ax.legend(
        handles=keys,
        loc="upper left",
        frameon=False,
        fontsize=font(7),
        labelcolor=INK,
        handletextpad=0.1,
        borderaxespad=0.2,
        handlelength=1.4,
    )
    ax.add_artist(box)


def plot_queue(result: ReplayResult, ax: Axes | None = None, *, legend: str = "") -> Axes:
    """Tasks waiting at each agent over time, stacked; outages are shaded.

    Means over 240 equal intervals of the run, so that short waits count, too.

    Parameters
    ----------
    result : ReplayResult
        What to show. Of more than eight agents, those with least waiting are one band.
    ax : Axes, optional
        Where to draw; a new pyplot figure by default.
    legend : {"", "below", "right", "none"}
        Where names stand; by default below the axes.

    Raises
    ------
    SimulationError
        If there is no such place for a legend.
    """
    ax = axes_or_new(ax)
    seconds, unit = time_unit(float(result.work.arrived[-1]))
    edges, means = waiting(result)
    of_agent, end = means.sum(axis=1), float(edges[-1])
    busiest = np.argsort(-of_agent, kind="stable")[:_NAMED]
    named = np.sort(busiest[of_agent[busiest] > 0])
    colours = dict(zip(result.pool.ids, agent_colours(len(result.pool)), strict=True))
    bands = [(result.pool.ids[a], means[a]) for a in named]
    keys: list[Patch] = [
        Patch(color=colours[agent], label=drawable(agent, 18)) for agent, _ in bands
    ]
    if np.count_nonzero(of_agent) > named.size:
        bands.append(("other agents", means.sum(axis=0) - means[named].sum(axis=0)))
        keys.append(Patch(color=OTHERS, label="other agents"))
    if bands:
        ax.stackplot(
            edges / seconds,
            np.array([np.append(band, band[-1]) for _, band in bands]),
            step="post",
            colors=[key.get_facecolor() for key in keys],
            linewidth=0,
        )
    for outage in result.outages:
        up = min(outage.up, end)
        if outage.down < up:
            span, colour = (outage.down / seconds, up / seconds), colours[outage.agent]
            ax.axvspan(*span, facecolor=colour, alpha=0.2, linewidth=0, zorder=0)
    for agent in dict.fromkeys(outage.agent for outage in result.outages):
        keys.append(Patch(color=colours[agent], alpha=0.2, label=f"{drawable(agent, 18)} down"))
    _reach(ax, max(end / seconds, 1e-9), max(1.0, 1.08 * float(means.sum(axis=0).max())))
    labels = result.policy.name, f"time ({unit})", "tasks waiting (mean)"
    empty = "" if bands else "no task ever waited"
    finish(ax, *labels, keys, empty=empty, legend=legend)
    ax.yaxis.set_major_locator(ticker.MaxNLocator(5, integer=True))
    return ax


def _reach(ax: Axes, x: float, y: float) -> None:
    """Limits from 0 to these, or as far as axes that share them, drawn before, need."""
    for which, high in (("x", x), ("y", y)):
        group = getattr(ax, f"get_shared_{which}_axes")().get_siblings(ax)
        drawn = any(other is not ax and other.has_data() for other in group)
        known = getattr(ax, f"get_{which}lim")()[1] if drawn else 0.0
        getattr(ax, f"set_{which}lim")(0, max(high, known))


def plot_waiting(result: StreamedReplay, ax: Axes | None = None) -> Axes:
    """Tasks waiting over time in a replay in blocks, at all agents together; returns the Axes.

    Without ``ax`` a new pyplot figure is made.
    """
    ax = axes_or_new(ax)
    times, waiting = result.totals.waiting
    seconds, unit = time_unit(float(times[-1]))
    parts = min(times.size, INTERVALS)
    tasks = np.array([part.mean() for part in np.array_split(waiting, parts)])
    edges = np.array([part[-1] for part in np.array_split(times, parts)]) / seconds
    ax.fill_between(edges, tasks, step="pre", color=OTHERS, linewidth=0)
    _reach(ax, max(float(times[-1]) / seconds, 1e-9), max(1.0, 1.08 * float(tasks.max())))
    empty = "" if tasks.any() else "no task ever waited"
    labels = result.policy.name, f"time ({unit})", "tasks waiting (mean)"
    finish(ax, *labels, [], empty=empty)
    ax.yaxis.set_major_locator(ticker.MaxNLocator(5, integer=True))
    return ax


def plot_latencies(results: Sequence[Shown], ax: Axes | None = None, *, legend: str = "") -> Axes:
    """Distributions of latency (s) under several policies, on a log axis.

    Parameters
    ----------
    results : sequence of ReplayResult
        One a policy; tasks answered after the warm-up are shown.
    ax : Axes, optional
        Where to draw; a new pyplot figure by default.
    legend : {"", "below", "right", "none"}
        Where names stand; by default below the axes.

    Raises
    ------
    SimulationError
        If there is no such place for a legend.
    """
    names = [result.policy.name + _above_capacity(result) for result in results]
    ax = axes_or_new(ax, with_legend(names))
    keys = []
    styles = policy_styles(len(results))
    # Narrower lines over wider ones: of two that coincide both are seen.
    widths = np.linspace(3.0 if len(results) > 1 else 1.6, 1.2, len(results))
    for result, style, width in zip(results, styles, widths, strict=True):
        look = {"color": style.colour, "linestyle": style.dash, "linewidth": width}
        look["label"] = drawable(result.policy.name) + _above_capacity(result)
        keys += _distribution(ax, latency_curve(result), **look)
    return _finish_distributions(ax, "Latency by policy", keys, legend)


def plot_beside_controls(
    result: ReplayResult,
    ax: Axes | None = None,
    *,
    against: str = "cost",
    controls: bool = True,
    legend: str = "",
) -> Axes:
    """:func:`~routingsim.report.frontier.plot_frontier` of one policy and its controls.

    Without controls where the quality of an agent is not recorded.
    """
    beside = controls_for_replays([result])[0] if controls else {}
    return plot_frontier([result], ax=ax, against=against, controls=beside, legend=legend)
