"""``routingsim fit`` and ``train``: agents from a log of calls, a policy from a corpus."""

import math
from pathlib import Path
from typing import Annotated, Any

from routingsim.cli.console import print_said, remark, write_json
from routingsim.cli.inputs import FaultyInputs
from routingsim.cli.log_options import ConcurrencyOption, CostOption, LogArgument, by_agent
from routingsim.cli.options import JsonOption, MapOption, load_option, option, spread
from routingsim.cli.outputs import check_distinct, file_option
from routingsim.errors import RoutingSimError


def fit(
    log: LogArgument,
    output: Annotated[
        Path, file_option("Write the pool to FILE.toml.", (".toml",), "--output", "-o")
    ],
    cost: CostOption = None,
    prices: Annotated[
        list[str] | None,
        option(
            "[AGENT=]MODEL",
            "Look prices up in genai-prices, as openai/gpt-4o. Can be repeated.",
        ),
    ] = None,
    concurrency: ConcurrencyOption = None,
    map: MapOption = None,
    json_to: JsonOption = None,
) -> None:
    """Fit agents to a log of their calls, and write the pool that --agents reads."""
    from routingsim.corpora.logs.read import read_log

    check_distinct([each for each in (output, json_to) if each], [log])
    price = by_agent(cost, "--cost", float) if cost else None
    fields: dict[str, Any] = {}
    if concurrency:
        fields["concurrency"] = by_agent(concurrency, "--concurrency", int)
    if prices:
        fields["prices"] = by_agent(prices, "--prices", str)
    calls = read_log(log, columns=map)
    for note in calls.notes:
        remark(f"{calls.name}: {note}", style="yellow")
    found = calls.calibrate(cost=price, **fields)
    pool, fits, arrivals = found.pool, found.fits, found.arrivals
    pool.save(output)
    if json_to is not None:
        said = {
            agent: {
                "model": fit.model,
                "calls": fit.calls,
                "used": fit.used,
                "failed": fit.failed,
                "ks": fit.ks if math.isfinite(fit.ks) else None,
                "notes": fit.notes,
                "inferred": fit.comments,
            }
            for agent, fit in fits.items()
        }
        shape = None
        if arrivals is not None:
            shape = {
                "process": str(arrivals.process),
                "shape": arrivals.shape,
                "said": str(arrivals),
            }
        write_json("fit", {"log": log, **pool.to_dict(), "fits": said, "arrivals": shape}, json_to)
    if json_to != Path("-"):
        for agent, fit in fits.items():
            print_said(f"{agent}: {fit}")
        if arrivals is not None:
            print_said(f"arrivals: {arrivals}")
    remark(f"agents: {output}", style="")


@spread
def train(
    inputs: FaultyInputs,
    output: Annotated[
        Path,
        file_option(
            "Write the policy to FILE.npz or FILE.zip; -p file:FILE reads it.",
            (".npz", ".zip"),
            "--output",
            "-o",
        ),
    ],
    episodes: Annotated[int, option("N", "Replays of the corpus to learn from.")] = 30,
    arrivals: Annotated[
        str | None,
        load_option("PROCESS", "Arrivals of every episode. Default: Poisson at --load."),
    ] = None,
    load: Annotated[float, load_option("SHARE", "Share of the pool's capacity.")] = 0.9,
    explore: Annotated[float, option("P", "How much the trained policy still explores.")] = 0.0,
    json_to: JsonOption = None,
) -> None:
    """Let a policy learn from a corpus in the simulator, and write what it has learned."""
    from routingsim.policies.storage import save_policy
    from routingsim.simulation.training import train as run

    if len(inputs.policy or []) != 1:
        raise RoutingSimError(
            "train: name one policy that learns with -p, such as linucb, thompson or fs-qmix"
        )
    if inputs.tasks is not None:
        raise RoutingSimError("train: --tasks is not of training; leave it out")
    corpus, pool = inputs.read()
    trained = run(
        corpus,
        pool,
        (inputs.policy or [])[0],
        episodes=episodes,
        arrivals=arrivals,
        load=load,
        seed=inputs.seed,
        service=inputs.service,
        **inputs.conditions(),
        explore=explore,
    )
    save_policy(pool, trained, output)
    if json_to is not None:
        document = {
            "policy": trained.name,
            "corpus": corpus.name,
            "agents": list(pool.ids),
            "episodes": episodes,
            "seed": inputs.seed,
            "file": str(output),
        }
        write_json("train", document, json_to)
    remark(f"policy: {output}; use it with -p file:{output}", style="")
