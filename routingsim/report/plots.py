"""Plots of replays. Each takes results and ``ax=``, and returns the matplotlib Axes.

Without ``ax`` a pyplot figure is made, so that a notebook shows it. An agent has the same
colour in all of them (:mod:`routingsim.report.palette`) and is named by its id;
matplotlib's global settings stay as they are.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib import patches, ticker
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from routingsim.evaluation.controls.simulated import controls_for_replays
from routingsim.report.axes import (
    axes_or_new,
    drawable,
    label_axes,
    legend_below,
    legend_height,
    log_axis,
    nothing_to_show,
)
from routingsim.report.frontier import plot_frontier
from routingsim.report.palette import INK, OTHERS, agent_colours, agent_dashes, policy_styles
from routingsim.report.plot_data import ecdf, leading_agents, time_unit, waiting
from routingsim.simulation.result import ReplayResult
from routingsim.simulation.statistics import quantiles

_NAMED = 8  # agents told apart in one plot; the rest are drawn as one
_BARS = 20
_MARKS = {"p50": "o", "p95": "s", "p99": "^"}


def plot_usage(result: ReplayResult, ax: Axes | None = None) -> Axes:
    """Share of tasks (bar) and utilisation (diamond) of each agent, in percent.

    Parameters
    ----------
    result : ReplayResult
        What to show. Of more than 20 agents those with the fewest tasks are one bar.
    ax : Axes, optional
        Where to draw; a new pyplot figure by default.
    """
    agents = len(result.pool)
    shown = leading_agents(result, _BARS)
    rest = np.setdiff1d(np.arange(agents), shown)
    tasks = np.bincount(result.log.agent, minlength=agents) / len(result)
    used = result.utilisation
    colours = [agent_colours(agents)[a] for a in shown]
    names = [drawable(result.pool.ids[a], 20) for a in shown]
    shares, loads = [*tasks[shown]], [*used[shown]]
    if rest.size:
        slots = result.pool.column("concurrency")[rest]
        names.append(f"{rest.size} others")
        colours.append(OTHERS)
        shares.append(tasks[rest].sum())
        loads.append(used[rest] @ slots / slots.sum())

    ax = axes_or_new(ax, height=1.2 + 0.2 * max(len(names), 4))
    rows = np.arange(len(names))
    size = 8 if len(names) <= 12 else 6
    ax.barh(rows, 100 * np.array(shares), color=colours, height=0.62, label="share of tasks")
    ax.plot(
        100 * np.array(loads), rows, "D", color=INK, markersize=size / 2, clip_on=False, zorder=4
    )
    ax.set_yticks(rows, names, fontsize=size)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlim(0, 100)
    ax.xaxis.set_major_locator(ticker.MultipleLocator(25))
    label_axes(ax, result.policy.name, "share of tasks, utilisation (%)", "agent", grid="x")
    ax.tick_params(axis="y", length=0)
    keys = [
        patches.Patch(color=OTHERS, label="share of tasks"),
        Line2D([], [], color=INK, marker="D", linestyle="", markersize=4, label="utilisation"),
    ]
    legend_below(ax, keys)
    return ax


def plot_latency(result: ReplayResult, ax: Axes | None = None) -> Axes:
    """Distribution of latency (s) of each agent and of all, percentiles marked.

    Empirical distribution functions of tasks answered after the warm-up, on a log axis.

    Parameters
    ----------
    result : ReplayResult
        What to show. Of more than eight agents, those with fewest tasks are grey.
    ax : Axes, optional
        Where to draw; a new pyplot figure by default.
    """
    ax = axes_or_new(ax)
    agents = len(result.pool)
    colours, dashes = agent_colours(agents), agent_dashes(agents)
    named = set(leading_agents(result, _NAMED).tolist())
    keys: list[Line2D] = []
    for a in range(agents):
        values = result.latency[result.timed & (result.log.agent == a)]
        if not values.size:
            continue
        colour = colours[a] if a in named else OTHERS
        (line,) = ax.plot(
            *ecdf(values),
            color=colour,
            linestyle=dashes[a],
            linewidth=1.2 if a in named else 0.6,
            zorder=3 if a in named else 2,
            drawstyle="steps-post",
            label=drawable(result.pool.ids[a], 18),
        )
        if a in named:
            keys.append(line)
    whole = result.latency[result.timed]
    if whole.size:
        x, y = ecdf(whole)
        (line,) = ax.plot(
            x, y, color=INK, linewidth=2.4, zorder=2.5, drawstyle="steps-post", label="all"
        )
        keys.insert(0, line)
        _mark_percentiles(ax, whole)
        log_axis(ax)
        if agents > len(named):
            keys.append(Line2D([], [], color=OTHERS, linewidth=0.6, label="other agents"))
        legend_below(ax, keys)
    else:
        nothing_to_show(ax, "no task was answered")
    ax.set_ylim(0, 101)
    label_axes(ax, result.policy.name, "latency (s), log scale", "answers (%)")
    return ax


def _mark_percentiles(ax: Axes, values: NDArray[np.float64]) -> None:
    """Mark p50, p95 and p99 on the curve, with their values in the upper left corner."""
    found = quantiles(values, [float(name[1:]) / 100 for name in _MARKS])
    keys = [
        ax.plot(
            value,
            float(name[1:]),
            mark,
            color=INK,
            markersize=4.5,
            markeredgecolor="white",
            markeredgewidth=0.6,
            zorder=5,
            label=f"{name}  {value:.3g} s",
        )[0]
        for value, (name, mark) in zip(found, _MARKS.items(), strict=True)
    ]
    box = ax.legend(
        handles=keys,
        loc="upper left",
        frameon=False,
        fontsize=7,
        labelcolor=INK,
        handletextpad=0.1,
        borderaxespad=0.2,
        handlelength=1.4,
    )
    ax.add_artist(box)


def plot_queue(result: ReplayResult, ax: Axes | None = None) -> Axes:
    """Tasks waiting at each agent over time, stacked; outages are shaded.

    Means over 240 equal intervals of the run, so that short waits count, too.

    Parameters
    ----------
    result : ReplayResult
        What to show. Of more than eight agents, those with least waiting are one band.
    ax : Axes, optional
        Where to draw; a new pyplot figure by default.
    """
    ax = axes_or_new(ax)
    seconds, unit = time_unit(result)
    edges, means = waiting(result)
    total = means.sum(axis=1)
    busiest = np.argsort(-total, kind="stable")[:_NAMED]
    named = np.sort(busiest[total[busiest] > 0])
    colours = agent_colours(len(result.pool))
    bands = [(drawable(result.pool.ids[a], 18), colours[a], means[a]) for a in named]
    rest = means.sum(axis=0) - means[named].sum(axis=0)
    if np.count_nonzero(total) > named.size:
        bands.append(("other agents", OTHERS, rest))
    if bands:
        ax.stackplot(
            edges / seconds,
            np.array([np.append(band, band[-1]) for _, _, band in bands]),
            step="post",
            colors=[colour for _, colour, _ in bands],
            linewidth=0,
        )
    else:
        nothing_to_show(ax, "no task ever waited")
    keys: list[patches.Patch] = [patches.Patch(color=c, label=name) for name, c, _ in bands]
    for outage in result.outages:
        colour = colours[result.pool.index(outage.agent)]
        up = min(outage.up, float(edges[-1]))
        if outage.down < up:
            span = (outage.down / seconds, up / seconds)
            ax.axvspan(*span, facecolor=colour, alpha=0.2, linewidth=0, zorder=0)
    for agent in dict.fromkeys(outage.agent for outage in result.outages):
        colour = colours[result.pool.index(agent)]
        keys.append(patches.Patch(color=colour, alpha=0.2, label=f"{drawable(agent, 18)} down"))
    ax.set_xlim(0, max(float(edges[-1]) / seconds, 1e-9))
    ax.set_ylim(0, max(1.0, 1.08 * float(means.sum(axis=0).max())))
    ax.yaxis.set_major_locator(ticker.MaxNLocator(5, integer=True))
    label_axes(ax, result.policy.name, f"time ({unit})", "tasks waiting (mean)")
    legend_below(ax, keys)
    return ax


def plot_latencies(results: Sequence[ReplayResult], ax: Axes | None = None) -> Axes:
    """Distributions of latency (s) under several policies, on a log axis.

    Parameters
    ----------
    results : sequence of ReplayResult
        One a policy; tasks answered after the warm-up are shown.
    ax : Axes, optional
        Where to draw; a new pyplot figure by default.
    """
    names = [drawable(result.policy.name) for result in results]
    ax = axes_or_new(ax, height=2.4 + legend_height(names))
    keys = []
    styles = policy_styles(len(results))
    # Narrower lines over wider ones: of two that coincide both are seen.
    widths = np.linspace(3.0 if len(results) > 1 else 1.6, 1.2, len(results))
    for result, style, width in zip(results, styles, widths, strict=True):
        values = result.latency[result.timed]
        if values.size:
            name = drawable(result.policy.name)
            keys += ax.plot(
                *ecdf(values),
                color=style.colour,
                linestyle=style.dash,
                linewidth=width,
                drawstyle="steps-post",
                label=name,
            )
    if keys:
        log_axis(ax)
        legend_below(ax, keys)
    else:
        nothing_to_show(ax, "no task was answered")
    ax.set_ylim(0, 101)
    label_axes(ax, "Latency by policy", "latency (s), log scale", "answers (%)")
    return ax


def plot_beside_controls(
    result: ReplayResult, ax: Axes | None = None, *, against: str = "cost"
) -> Axes:
    """:func:`~routingsim.report.frontier.plot_frontier` of one policy and its controls.

    Without controls where the quality of an agent is not recorded.
    """
    controls, _ = controls_for_replays([result])
    return plot_frontier([result], ax=ax, against=against, controls=controls)
