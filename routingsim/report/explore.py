"""An interactive view of replays: a widget that runs the engine, and the same in a page.

Policies by quality, cost and latency; who waits over time; and how latencies spread. A range of
time marked in one chart holds for all. In a notebook, sliders for load, slots and prices run
every policy again; in a page the view shows what was run. Both draw with ``explore.js``, and
neither needs a network. Where a notebook is shown without its kernel, pictures stand in.
"""

import base64
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from routingsim.agents import Agent, AgentPool
from routingsim.agents.agent import PRICES
from routingsim.corpora.corpus import Corpus
from routingsim.errors import PolicyError, RoutingSimError, SimulationError
from routingsim.evaluation.loads import mean_rate
from routingsim.evaluation.study import Study
from routingsim.policies.kernel import OK
from routingsim.policies.policy import Policy, make_policy
from routingsim.report.frontier import plot_frontier
from routingsim.report.palette import agent_colours, policy_styles
from routingsim.report.plot_data import waiting
from routingsim.report.plots import plot_latencies, plot_queue
from routingsim.report.replay_report import as_results
from routingsim.report.svg import Drawing, png_plots
from routingsim.simulation.arrivals import Arrivals, parse_arrivals
from routingsim.simulation.replay import replay
from routingsim.simulation.result import ReplayResult
from routingsim.simulation.scenario import prepare

TASKS = 3_000
"""Tasks of a run that a view shows; of a longer run, every so many."""

_BINS = 4  # intervals of ``waiting`` that become one
_FILES = Path(__file__).parent / "templates"


def view(results: Sequence[ReplayResult]) -> dict[str, Any]:
    """What a view of replays of one pool shows, as JSON holds it.

    Quality is left out where it is not recorded of every answer, and a cost where the summary has
    none: means would be of other tasks for each policy.
    """
    first = results[0]
    whole = all(each.overall["recorded"] == 1 for each in results)
    agents = zip(first.pool, agent_colours(len(first.pool)), strict=True)
    styles = policy_styles(len(results))
    return {
        "agents": [
            {"id": a.id, "name": a.name, "slots": a.concurrency, "color": colour}
            for a, colour in agents
        ],
        "quality": whole,
        "policies": [
            _run(each, style.colour, whole) for each, style in zip(results, styles, strict=True)
        ],
    }


def _run(result: ReplayResult, colour: str, whole: bool) -> dict[str, Any]:
    every = slice(None, None, math.ceil(len(result) / TASKS))
    edges, queues = waiting(result)
    coarse = queues.reshape(len(queues), -1, _BINS).mean(axis=2)
    return {
        "name": result.policy.name,
        "color": colour,
        "verdict": result.stability.verdict,
        "ended": not result.stability.lasts,
        "tasks": len(result),
        "edges": _rounded(edges[::_BINS]),
        "waiting": [_rounded(row) for row in coarse],
        "arrived": _rounded(result.work.arrived[every]),
        "latency": _rounded(result.latency[every]),
        "answered": (result.log.status[every] == OK).astype(int).tolist(),
        "quality": _rounded(np.nan_to_num(result.quality[every])) if whole else None,
        "cost": None
        if math.isnan(result.overall["cost_mean"])
        else [float(f"{cost:.4g}") for cost in result.log.cost[every]],
    }


def _rounded(values: NDArray[np.float64]) -> list[float]:
    return np.round(values, 3).tolist()


def page(results: Sequence[ReplayResult]) -> str:
    """The view as HTML, with its script and data, to stand in a page."""
    data = json.dumps(view(results), allow_nan=False).replace("</", "<\\/")
    script, style = (
        (_FILES / name).read_text(encoding="utf-8") for name in ("explore.js", "explore.css")
    )
    return (
        f'<style>{style}</style><div class="explore" id="explore"></div>'
        f'<script type="application/json" id="explore-data">{data}</script>'
        f'<script type="module">{script}\n'
        'show(document.getElementById("explore"), '
        'JSON.parse(document.getElementById("explore-data").textContent));</script>'
    )


def pictures(results: Sequence[ReplayResult], name: str) -> str:
    """Pictures of the view, as HTML with this id."""
    drawings: list[tuple[str, Drawing]] = [
        ("Latency by policy", lambda ax: plot_latencies(results, ax=ax)),
        ("Tasks waiting over time", lambda ax: plot_queue(results[0], ax=ax)),
    ]
    if all(each.overall["recorded"] == 1 for each in results):
        drawings.insert(0, ("Quality and cost by policy", lambda ax: plot_frontier(results, ax=ax)))
    titles, draw = zip(*drawings, strict=True)
    pngs = [base64.b64encode(png).decode() for png in png_plots(draw, (4.0, 3.0))]
    images = "".join(
        f'<img width="400" alt="{title}" src="data:image/png;base64,{png}">'
        for title, png in zip(titles, pngs, strict=True)
    )
    return f'<div id="{name}">{images}<p>Pictures only: run the cell for the sliders.</p></div>'


def explore(results: Sequence[ReplayResult]) -> Any:
    """A widget on replays of one corpus, pool and stream of arrivals, each under another policy.

    Raises
    ------
    SimulationError
        Without the extra ``notebook``, or if arrivals come from a closed loop.
    """
    try:
        import anywidget
        import traitlets
        from IPython.display import display
    except ImportError as error:
        raise SimulationError(
            'explore() needs the extra notebook: pip install "routingsim[notebook]"'
        ) from error
    first = as_results(results)[0]
    if first.closed:
        raise SimulationError("explore() changes the load, which a closed loop sets by itself")
    process = parse_arrivals(first.arrivals)
    wanted = [recipe(result) for result in results]

    class Explorer(anywidget.AnyWidget):
        """The view, with sliders; ``asked`` is what they say, ``data`` what is shown."""

        _esm = (_FILES / "explore.js").read_text(encoding="utf-8") + "\nexport default { render };"
        _css = _FILES / "explore.css"
        data = traitlets.Dict().tag(sync=True)
        asked = traitlets.Dict().tag(sync=True)
        still = traitlets.Unicode().tag(sync=True)

        def _ipython_display_(self) -> None:
            """Show pictures, which the view hides, and the view."""
            display({"text/html": pictures(results, self.still)}, raw=True)
            bundle, metadata = self._repr_mimebundle_() or ({}, {})
            display(bundle, metadata=metadata, raw=True)

        def __repr__(self) -> str:
            return f"<Explorer: {len(results)} policies on {len(first):,} tasks>"

    slots = {agent.id: agent.concurrency for agent in first.pool}
    widget = Explorer(data=view(results) | {"asked": {}, "slots": slots}, asked={})
    widget.still = f"still-{widget.model_id}"

    def run_again(change: Any) -> None:
        # With what was asked: figures that stay the same are an answer, too.
        asked = change["new"]
        again = what_if(first, wanted, process, **asked)
        widget.data = view(again) | {"asked": asked, "slots": slots}

    widget.observe(run_again, "asked")
    return widget


def explore_study(study: Study, load: float | None) -> Any:
    """:func:`explore` of a study's policies, each replayed once at one of its loads.

    Without the study's retries, outages and other conditions: replays have them.

    Raises
    ------
    SimulationError
        As :func:`explore` does, or if a policy's name does not make it again.
    """
    share = study.loads[0] if load is None else load
    shape, tasks = parse_arrivals(study.arrivals), study.settings.tasks
    process = shape.scaled(share * study.capacity / mean_rate(shape, study.corpus, tasks))
    names = [name for name, kind in study.kinds.items() if kind == "policy"]
    given: dict[str, Any] = {"arrivals": process, "tasks": tasks, "seed": study.settings.seed}
    try:
        return explore([replay(study.corpus, study.pool, name, **given) for name in names])
    except PolicyError as error:
        raise SimulationError(
            f"explore() makes a study's policies again by their names: {error}; replay them and "
            "call result.explore(*others)"
        ) from error


def what_if(
    first: ReplayResult,
    wanted: Sequence[str | Policy],
    process: Arrivals,
    load: float = 1.0,
    slots: dict[str, int] | None = None,
    price: dict[str, float] | None = None,
) -> list[ReplayResult]:
    """The same tasks and seed at another load, with other slots or prices.

    ``load`` multiplies the rate; ``slots`` are counts, and ``price`` multiplies what calls cost,
    both by an agent's id.
    """
    factors = [(price or {}).get(agent.id, 1.0) for agent in first.pool]
    pool = AgentPool(
        tuple(
            _changed(agent, (slots or {}).get(agent.id, agent.concurrency), factor)
            for agent, factor in zip(first.pool, factors, strict=True)
        )
    )
    corpus = _at_prices(first.corpus, first.pool, factors)
    scenes = [
        prepare(corpus, pool, make_policy(pool, policy, corpus), **first.conditions)
        for policy in wanted
    ]
    again = process.scaled(load)
    return [scene.run(again, seed=first.seed, tasks=len(first)) for scene in scenes]


def _changed(agent: Agent, slots: int, factor: float) -> Agent:
    prices = {name: getattr(agent, name) for name in ("cost", *PRICES)}
    prices = {name: price * factor for name, price in prices.items() if price is not None}
    return msgspec.structs.replace(agent, concurrency=slots, **prices)


def _at_prices(corpus: Corpus | None, pool: AgentPool, factors: list[float]) -> Corpus | None:
    """The corpus with recorded costs times a factor for each agent."""
    if corpus is None or set(factors) == {1.0}:
        return corpus
    cost = corpus.outcome("cost", corpus.agents).copy()
    for agent, factor in zip(pool, factors, strict=True):
        if agent.recorded_as in corpus.agents:
            cost[:, corpus.agents.index(agent.recorded_as)] *= factor
    return replace(corpus, outcomes={**corpus.outcomes, "cost": cost})


def recipe(result: ReplayResult) -> str | Policy:
    """What makes a result's policy again for a changed pool: its name, unless it has learned."""
    policy = result.policy
    try:
        made = make_policy(result.pool, policy.name, result.corpus)
    except RoutingSimError:
        return policy
    same = (made.choose, made.learn) == (policy.choose, policy.learn)
    return policy.name if same and np.array_equal(made.memory, policy.memory) else policy
