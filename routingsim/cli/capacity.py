"""``routingsim capacity``: the cheapest pool and policy that meet targets."""

import tomllib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from routingsim.cli.console import print_frame, print_said, remark, write_json
from routingsim.cli.inputs import FaultyInputs
from routingsim.cli.options import (
    JsonOption,
    QualityOption,
    ReportOption,
    SloOption,
    Workers,
    bounds,
    load_option,
    option,
    spread,
    write_page,
)
from routingsim.cli.outputs import TABLE, file_option
from routingsim.errors import SimulationError


@spread
def capacity(
    inputs: FaultyInputs,
    workers: Workers,
    arrivals: Annotated[
        str,
        load_option(
            "PROCESS",
            "The traffic to be served, peaks included: poisson:4 (tasks/s), "
            "gamma:4,cv=2, corpus, corpus:2x, trace:FILE, …",
        ),
    ],
    slots: Annotated[
        list[str],
        option(
            "AGENT=RANGE",
            "Slots to try: big=0-8, big=2 or big=1,2,4; 0 leaves the agent out. Repeat it for "
            "each agent to vary; others keep theirs.",
        ),
    ],
    vary: Annotated[
        list[str] | None,
        option(
            "policy.PARAMETER=VALUES",
            "Values of a policy's parameter to try, as in the plan of a sweep: "
            "'policy.low=[0.2, 0.3]' or 'policy.low={from=0.2, to=0.4, steps=3}'. Can be repeated.",
        ),
    ] = None,
    slo: SloOption = None,
    quality: QualityOption = None,
    budget: Annotated[float | None, option("USD", "Target: USD per hour at most.")] = None,
    runs: Annotated[int, option("N", "Runs of each pool and policy at most.")] = 20,
    pools_to: Annotated[
        Path | None,
        file_option("Write a row per pool and policy to FILE.csv, .parquet or .jsonl.", TABLE),
    ] = None,
    agents_to: Annotated[
        Path | None, file_option("Write the pool of the answer to FILE.toml.", (".toml",))
    ] = None,
    report: ReportOption = None,
    json_to: JsonOption = None,
) -> None:
    """Find the cheapest pool and policy that meet targets of latency, quality and cost.

    Slots cost what price_per_slot_hour says in the agents' file, calls what they
    cost anywhere. Every combination of slots under every policy is compared with
    every target by intervals, not by means; the answer is run again under other
    seeds. If there is no answer, the closest is named, with what it lacks.
    """
    from routingsim.evaluation.capacity import capacity as run
    from routingsim.simulation.export import write_table

    conditions = inputs.conditions()
    corpus, pool = inputs.read()
    with workers.execution() as where:
        found = run(
            corpus,
            pool,
            inputs.policies(corpus, pool, ["threshold:calibrated", "least-loaded"]),
            arrivals=arrivals,
            slots=dict(_slots(text) for text in slots),
            vary=_varied(vary or []),
            slo=bounds(slo),
            quality=quality,
            budget=budget,
            runs=runs,
            tasks=inputs.tasks,
            seed=inputs.seed,
            service=inputs.service,
            **conditions,
            **where,
        )
    write_page(found, report)
    if json_to is not None:
        write_json("capacity", found.to_dict(), json_to)
    if json_to != Path("-"):
        print_said(str(found))
        if found.best is not None:
            margins = found.margins.drop(columns=["low", "high"])
            print_frame(margins, spare=[("margin_low", "margin_high"), "bound"])
        if not found.stress.empty:
            print_frame(found.stress, spare=("span", "rate_met", "answered", "breaks"))
    if pools_to is not None:
        remark(f"pools: {write_table(found.frame, pools_to)}", style="")
    if agents_to is not None and found.best is not None:
        found.best.candidate.pool.save(agents_to)
        remark(f"agents: {agents_to}", style="")


def _varied(texts: Sequence[str]) -> dict[str, Any]:
    """What is varied, by name: each a line of TOML, as in the plan of a sweep."""
    from routingsim.evaluation.sweeps.plan_file import flat

    found: dict[str, Any] = {}
    for text in texts:
        try:
            found |= flat(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise SimulationError(
                f"--vary {text!r}: is no line of a plan ({error}); a parameter and a list or range "
                "are needed, as 'policy.low=[0.2, 0.3]' or 'policy.low={from=0.2, to=0.4, steps=3}'"
            ) from None
    return found


def _slots(text: str) -> tuple[str, list[int]]:
    agent, _, counts = text.rpartition("=")
    found: list[int] = []
    with suppress(ValueError):  # not a number: said below
        for part in counts.split(","):
            first, _, last = part.partition("-")
            found += range(int(first), int(last or first) + 1)
        if agent and found:
            return agent, found
    raise SimulationError(f"--slots {text!r}: an agent and its slots are needed, as big=0-8")
