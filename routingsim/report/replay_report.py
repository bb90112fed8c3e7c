"""The contents of a report on replays, computed once from their results."""

import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from routingsim.errors import SimulationError
from routingsim.report import captions, plots, replay_text
from routingsim.report.axes import legend_height
from routingsim.report.beside import controls_beside
from routingsim.report.breakdown import categories, complexity, disagreements
from routingsim.report.document import (
    Block,
    Card,
    Column,
    Document,
    Gallery,
    Picture,
    Points,
    Section,
    table,
)
from routingsim.report.formatting import ABSENT, duration, number, percent
from routingsim.report.frontier import ABOUT, FRONTIER, UNRECORDED, frontier_height
from routingsim.report.palette import agent_colours, control_styles, policy_styles
from routingsim.report.provenance import corpus_digest, run
from routingsim.simulation.result import ReplayResult

__all__ = ["compose"]

_ENDS = (("failed", "failed"), ("timed_out", "timed out"), ("shed", "shed"))
_QUALITY = Column("quality", "0–1", "quality")


def compose(
    results: Sequence[ReplayResult],
    *,
    command: str | None = None,
    date: str | datetime.date | None = None,
) -> Document:
    """Compute a report.

    Parameters
    ----------
    results : sequence of ReplayResult
        One a policy, all on the same corpus, agents, arrivals and seed.
    command : str, optional
        What to type to get it again; the calls of ``replay`` by default.
    date : str or date, optional
        To print on it; today by default.

    Raises
    ------
    SimulationError
        If there is no result, or two of them cannot be compared.
    """
    results = list(results)
    _check(results)
    controls, why = controls_beside(results) if _quality_recorded(results) else ({}, "")
    sections = [
        _stability(results),
        run(results, command),
        _comparison(results),
        _usage(results),
        _latency(results),
        _queue(results),
        _frontier(results, controls, why),
        categories(results),
        complexity(results),
        disagreements(results),
        Section("warnings", "Warnings", blocks=(Points(replay_text.warnings(results)),)),
    ]
    return Document(
        title=f"Routing report: {results[0].corpus.name if results[0].corpus else 'queueing'}",
        subtitle=replay_text.subtitle(results),
        date=str(date or datetime.date.today()),
        summary=replay_text.summary(results, controls),
        cards=tuple(_card(result) for result in results),
        sections=tuple(section for section in sections if section is not None),
        data={"policies": [result.to_dict() for result in results]},
    )


def _check(results: Sequence[ReplayResult]) -> None:
    if not results:
        raise SimulationError("a report needs a result or more, and was given none")
    first = results[0]
    for other in results[1:]:
        for what, one, two in (
            ("corpus", corpus_digest(first), corpus_digest(other)),
            ("agents", first.pool.agents, other.pool.agents),
            ("arrivals", first.arrivals, other.arrivals),
            ("seed", first.seed, other.seed),
            ("number of tasks", len(first), len(other)),
        ):
            if one != two:
                raise SimulationError(
                    f"{first.policy.name} and {other.policy.name} cannot be compared in one "
                    f"report: they differ in {what}; replay both on the same"
                )


def _card(result: ReplayResult) -> Card:
    overall = result.overall
    unsure = result.stability.verdict == "overloaded"
    figures = [
        ("Latency p50", duration(overall["latency_p50"])),
        ("Latency p95", duration(overall["latency_p95"])),
        ("USD per 1,000 tasks", number(1000 * overall["cost_mean"])),
        ("Answered", percent(overall["ok"] / len(result))),
        ("Quality", _recorded(overall["quality"])),
    ]
    if unsure or math.isnan(overall["latency_p50"]):
        figures[:2] = [("Latency p50", ABSENT), ("Latency p95", ABSENT)]
    return Card(
        result.policy.name, result.stability.verdict, replay_text.stability(result), tuple(figures)
    )


def _recorded(quality: float) -> str:
    return "not recorded" if math.isnan(quality) else f"{quality:.3f}"


def _quality_recorded(results: Sequence[ReplayResult]) -> bool:
    return any(not math.isnan(result.overall["quality"]) for result in results)


def _stability(results: Sequence[ReplayResult]) -> Section:
    rows = []
    for result in results:
        offered = result.stability.offered
        worst = max(offered, key=lambda agent: offered[agent])
        rows.append((result.policy.name, result.stability.verdict, offered[worst], worst))
    columns = (
        Column("policy", kind="text"),
        Column("verdict", kind="text"),
        Column("highest offered load", "%", "percent"),
        Column("at agent", kind="text"),
    )
    text = (
        "Read this before any percentile. Offered load is the work sent to an agent over what "
        "its slots can do: from 100 % on its queue grows as long as the run lasts, and waits "
        "say only how long that was.",
    )
    blocks = (table("Stability of each policy", columns, rows),)
    return Section("stability", "Can the waits be believed?", text, blocks)


def _comparison(results: Sequence[ReplayResult]) -> Section:
    unanswered = [(key, name) for key, name in _ENDS if any(r.overall[key] for r in results)]
    recorded = _quality_recorded(results)
    columns = [
        Column("policy", kind="text"),
        Column("verdict", kind="text"),
        Column("answered", "%", "percent"),
        *(Column(name, "tasks", "count") for _, name in unanswered),
        Column("mean wait", "s", "seconds"),
        *(Column(f"latency {q}", "s", "seconds") for q in ("p50", "p95", "p99")),
        Column("utilisation", "%", "percent"),
        Column("cost", "USD"),
        Column("cost", "USD per 1,000 tasks"),
        *([_QUALITY] if recorded else []),
    ]
    rows = []
    for r in results:
        o = r.overall
        rows.append(
            [
                r.policy.name,
                r.stability.verdict,
                o["ok"] / len(r),
                *(o[key] for key, _ in unanswered),
                o["wait_mean"],
                *(o[f"latency_{q}"] for q in ("p50", "p95", "p99")),
                o["utilisation"],
                o["cost"],
                1000 * o["cost_mean"],
                *([o["quality"]] if recorded else []),
            ]
        )
    title = "Policies compared" if len(results) > 1 else "The policy in figures"
    text = ("Percentiles of a policy that is overloaded say only how long the run was.",)
    bad = any(r.stability.verdict == "overloaded" for r in results)
    return Section("comparison", title, text if bad else (), (table("All tasks", columns, rows),))


def _usage(results: Sequence[ReplayResult]) -> Section:
    rows = min(len(results[0].pool), 21)
    gallery = _gallery(
        "usage",
        results,
        plots.plot_usage,
        captions.usage_point,
        captions.usage_in_words,
        height=1.3 + 0.2 * max(rows, 5),
    )
    text = (
        "Bars are shares of tasks, diamonds the share of an agent’s slots in use. An agent may "
        "get few tasks and still be busy, when its tasks take long or its slots are few.",
    )
    return Section("usage", "Usage", text, (gallery, *(_usage_table(r) for r in results)))


def _usage_table(result: ReplayResult) -> Block:
    summary = result.summary().iloc[:-1]
    unanswered = [(key, name) for key, name in _ENDS if summary[key].any()]
    recorded = _quality_recorded([result])
    columns = [
        Column("agent", kind="text"),
        Column("tasks", kind="count"),
        Column("share", "%", "percent"),
        Column("offered load", "%", "percent"),
        Column("utilisation", "%", "percent"),
        *(Column(name, "tasks", "count") for _, name in unanswered),
        Column("cost", "USD"),
        Column("cost", "USD per 1,000 tasks"),
        *([_QUALITY] if recorded else []),
    ]
    rows = [
        [
            agent,
            row["tasks"],
            row["share"],
            result.stability.offered[agent],
            row["utilisation"],
            *(row[key] for key, _ in unanswered),
            row["cost"],
            1000 * row["cost_mean"],
            *([row["quality"]] if recorded else []),
        ]
        for agent, row in zip(result.pool.ids, summary.to_dict("records"), strict=True)
    ]
    return table(f"Agents under {result.policy.name}", columns, rows, agent_colours(len(rows)))


def _latency(results: Sequence[ReplayResult]) -> Section:
    blocks: list[Block] = []
    if len(results) > 1:
        said = captions.latencies_in_words(results)
        all_of_them = Picture(
            "All policies",
            said,
            said,
            partial(plots.plot_latencies, results),
        )
        size = 4.2, 2.4 + legend_height([r.policy.name for r in results])
        blocks.append(Gallery("latencies", (all_of_them,), size))
    blocks.append(
        _gallery(
            "latency",
            results,
            plots.plot_latency,
            captions.latency_point,
            captions.latency_in_words,
        )
    )
    blocks += [_latency_table(result) for result in results]
    text = (
        "From the intended arrival of a task to the end of its answer, its wait included. A "
        "curve shows how many answers took at most so long.",
    )
    return Section("latency", "Latency", text, tuple(blocks))


def _latency_table(result: ReplayResult) -> Block:
    names = [f"{m}_{q}" for m in ("wait", "latency") for q in ("mean", "p50", "p95", "p99")]
    columns = [
        Column("agent", kind="text"),
        Column("timed answers", kind="count"),
        *(Column(name.replace("_", " "), "s", "seconds") for name in names),
    ]
    summary = result.summary()
    timed = [int((result.timed & (result.log.agent == a)).sum()) for a in range(len(result.pool))]
    rows = [
        [agent, answers, *(summary[name][agent] for name in names)]
        for agent, answers in zip(summary.index, [*timed, sum(timed)], strict=True)
    ]
    colours = [*agent_colours(len(result.pool)), ""]
    return table(f"Waits and latencies under {result.policy.name}", columns, rows, colours)


def _queue(results: Sequence[ReplayResult]) -> Section:
    if not any((result.calls()["left_at"] > result.calls()["sent_at"]).any() for result in results):
        return Section("queue", "Queues over time", ("No task ever waited for a slot.",))
    said = captions.queue_in_words
    gallery = _gallery("queue", results, plots.plot_queue, said, said)
    text = ("Tasks that wait for a slot, each agent’s on top of the other’s.",)
    return Section("queue", "Queues over time", text, (gallery,))


def _frontier(
    results: Sequence[ReplayResult], controls: Mapping[str, ReplayResult], why: str
) -> Section:
    if not _quality_recorded(results):
        return Section("quality", FRONTIER, (UNRECORDED,))
    pictures = []
    for against in ("cost", "latency_p95"):
        said = captions.tradeoff_in_words(results, controls, against)
        draw = partial(plots.plot_tradeoff, results, against=against, controls=controls)
        pictures.append(Picture(f"Quality and {against.replace('_', ' ')}", "", said, draw))
    text = (ABOUT, f"No controls: {why}.") if why else (ABOUT,)
    size = 3.6, frontier_height([r.policy.name for r in results], list(controls))
    blocks = (Gallery("quality", tuple(pictures), size), _controls_table(results, controls))
    return Section("quality", FRONTIER, text, blocks)


def _controls_table(results: Sequence[ReplayResult], controls: Mapping[str, ReplayResult]) -> Block:
    columns = (
        Column("policy", kind="text"),
        Column("kind", kind="text"),
        _QUALITY,
        Column("cost", "USD per 1,000 tasks"),
        Column("latency p95", "s", "seconds"),
        Column("verdict", kind="text"),
        Column("chosen in hindsight", kind="text"),
    )
    runs = [(r.policy.name, "policy", r) for r in results]
    runs += [(name, "control", r) for name, r in controls.items()]
    rows = []
    for name, kind, r in runs:
        o, sure = r.overall, r.stability.verdict != "overloaded"
        fitted = r.corpus is not None and r.corpus.sha256 in r.policy.fitted_on
        p95 = o["latency_p95"] if sure else math.nan
        found = (o["quality"], 1000 * o["cost_mean"], p95, r.stability.verdict)
        rows.append((name, kind, *found, "yes" if fitted else ABSENT))
    styles = [*policy_styles(len(results)), *control_styles(len(controls))]
    title = f"Policies, and controls of {results[0].policy.name}" if controls else "Policies"
    return table(title, columns, rows, [style.colour for style in styles])


def _gallery(
    name: str,
    results: Sequence[ReplayResult],
    plot: Callable[..., object],
    point: Callable[[ReplayResult], str],
    say: Callable[[ReplayResult], str],
    height: float = 2.8,
) -> Gallery:
    pictures = (Picture(r.policy.name, point(r), say(r), partial(plot, r)) for r in results)
    return Gallery(name, tuple(pictures), (3.6, height))
