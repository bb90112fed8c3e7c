"""How far a backtest says that the simulator is off, and how far it is.

    python benchmarks/backtest.py [world …] [--logs 40] [--calls 20000] [--trace azure-code-2023]

Logs are made by an independent simulation in SimPy, in worlds of which the fit knows nothing:

- "right": service times as the fit has them, by tokens with lognormal noise;
- "bimodal": a seventh of the calls takes five times as long;
- "slow hours": for a quarter of an hour each, now and then, all calls take 2.2 times as long;
- "queue": the provider has few slots, and calls wait there, which the log does not say;
- "shared queue": the same, with slots that both agents share, which no agent's calls show alone.

Of each log the last 30 % of the time are held out. The truth about them is known: the world is run
again with the same arrivals, lengths and slow hours, and other draws. For each world a line says,
over all logs: the error of p95 that backtests said (median and 95 % quantile), the error that the
prediction had of the truth and of another day of the same world, from where on differences were to
be believed (median), in how many logs either error was below that, in how many the interval held
the recorded p95, which share of the rolling windows it held, and how often a cause was named.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import simpy
from numpy.typing import NDArray

import routingsim as rs
from routingsim.evaluation.backtest_result import AT

WORLDS = ("right", "bimodal", "slow hours", "queue", "shared queue")
SPEED = {"large": 40.0, "small": 90.0}  # tokens per second
TTFT = {"large": 0.8, "small": 0.3}
CV = 0.3
SLOW, SPAN = 2.2, 900.0  # times as long in slow hours, and their seconds
LOAD = 0.9  # of the provider's slots in the worlds with a queue
HELD_OUT = 0.7  # where the log is cut
RUNS = 8  # of the world, for the truth

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Traffic:
    """What comes from outside: the same in every run of a world."""

    world: str
    arrived: Floats
    agent: NDArray[np.object_]
    prompt: NDArray[np.integer]
    tokens: NDArray[np.integer]
    slow: Floats  # starts of slow hours


@dataclass(frozen=True)
class Found:
    """What a backtest of one log said, and what was true."""

    world: str
    said: float
    was: float
    later: float
    believe: float
    held: bool
    windows: float
    narrow: bool
    causes: str


def traffic(world: str, calls: int, seed: int, trace: str = "") -> Traffic:
    """Calls of two agents, of lengths and at times drawn from the seed, or those of a trace."""
    rng = np.random.default_rng([seed, 1])
    corpus = rs.load_corpus(trace) if trace else None
    calls = calls if corpus is None else min(calls, len(corpus))
    arrived = np.cumsum(rng.exponential(0.5, calls))
    agent = rng.choice(["large", "small"], calls, p=[0.4, 0.6]).astype(object)
    prompt = rng.lognormal(5.5, 0.9, calls).astype(int) + 1
    tokens = rng.lognormal(5.0, 0.7, calls).astype(int) + 1
    if corpus is not None:
        recorded = corpus.tasks.iloc[:calls]
        arrived = recorded["arrived_at"].to_numpy()
        prompt = recorded["prompt_tokens"].to_numpy().astype(int)
        tokens = recorded["output_tokens"].to_numpy().astype(int)
    starts = np.cumsum(rng.exponential(2 * SPAN, int(arrived[-1] / SPAN) + 2) + SPAN) - SPAN
    slow = starts if world == "slow hours" else np.empty(0)
    return Traffic(world, arrived, agent, prompt, tokens, slow)


def latencies(of: Traffic, seed: int) -> Floats:
    """The latency of each call in one run of the world."""
    rng = np.random.default_rng([seed, 2])
    mean = np.array([TTFT[a] for a in of.agent]) + of.tokens / np.array(
        [SPEED[a] for a in of.agent]
    )
    sigma = np.sqrt(np.log1p(CV**2))
    service = mean * rng.lognormal(-(sigma**2) / 2, sigma, mean.size)
    if of.world == "bimodal":
        service *= np.where(rng.random(mean.size) < 1 / 7, 5.0, 1.0)
    slots = dict.fromkeys(SPEED, 10**6)
    if of.world.endswith("queue"):
        rate = mean.size / of.arrived[-1]
        for name in SPEED:
            mine = of.agent == name
            slots[name] = max(1, round(rate * mine.mean() * mean[mine].mean() / LOAD))
    env = simpy.Environment()
    providers = {name: simpy.Resource(env, n) for name, n in slots.items()}
    if of.world == "shared queue":
        providers = dict.fromkeys(SPEED, simpy.Resource(env, sum(slots.values())))
    found = np.zeros(mean.size)

    def call(k: int) -> Any:
        with providers[of.agent[k]].request() as slot:
            yield slot
            took = service[k]
            place = int(np.searchsorted(of.slow, env.now, side="right")) - 1
            if place >= 0 and env.now < of.slow[place] + SPAN:
                took *= SLOW
            yield env.timeout(took)
        found[k] = env.now - of.arrived[k]

    def arrive() -> Any:
        for k, at in enumerate(of.arrived):
            yield env.timeout(at - env.now)
            env.process(call(k))

    env.process(arrive())
    env.run()
    return found


def log_of(world: str, calls: int, seed: int, trace: str = "") -> Any:
    """The log of one run, as a table."""
    of = traffic(world, calls, seed, trace)
    rng = np.random.default_rng([seed, 3])
    return pd.DataFrame(
        {
            "id": np.arange(of.agent.size),
            "agent": of.agent,
            "arrived_at": of.arrived,
            "latency": latencies(of, seed),
            "prompt_tokens": of.prompt,
            "output_tokens": of.tokens,
            "cost": (of.prompt + of.tokens) * 2e-6,
            "status": np.where(rng.random(of.agent.size) < 0.01, "failed", "ok"),
        }
    )


def found_of(world: str, calls: int, seed: int, runs: int = RUNS, trace: str = "") -> Found:
    """A backtest of one log, beside the truth."""
    table = log_of(world, calls, seed, trace)
    result = rs.read_log(table).backtest(at=HELD_OUT, seed=seed)
    of = traffic(world, calls, seed, trace)
    late = of.arrived - of.arrived[0] >= HELD_OUT * (of.arrived[-1] - of.arrived[0])
    late &= (table["status"] == "ok").to_numpy()
    truth = np.mean(
        [np.quantile(latencies(of, 1000 + seed * 100 + r)[late], 0.95) for r in range(runs)]
    )
    whole = result.figure(AT)
    other = log_of(world, calls, 10**6 + seed, trace)
    part = other["arrived_at"] >= HELD_OUT * other["arrived_at"].iloc[-1]
    part &= other["status"] == "ok"
    later = float(other["latency"][part].quantile(0.95))
    windows = next(c for c in result.coverage if (c.agent, c.figure) == ("all", AT))
    named = "; ".join(each.split("(")[0][:40] for each in result.causes)
    return Found(
        world,
        result.off,
        abs(whole.predicted / float(truth) - 1),
        abs(whole.predicted / later - 1),
        result.believe,
        whole.held,
        windows.held,
        windows.verdict == "too narrow",
        named,
    )


def line_of(found: pd.DataFrame) -> dict[str, Any]:
    """What all logs of a world say together."""
    return {
        "logs": len(found),
        "said": f"{found['said'].median():.1%} ({found['said'].quantile(0.95):.1%})",
        "was": f"{found['was'].median():.1%} ({found['was'].quantile(0.95):.1%})",
        "another day": f"{found['later'].median():.1%} ({found['later'].quantile(0.95):.1%})",
        "believe": f"{found['believe'].median():.1%}",
        "below it": f"{(found['was'] <= found['believe']).mean():.0%}",
        "another below": f"{(found['later'] <= found['believe']).mean():.0%}",
        "p95 held": f"{found['held'].mean():.0%}",
        "windows held": f"{found['windows'].mean():.0%}",
        "said narrow": f"{found['narrow'].mean():.0%}",
        "cause named": f"{(found['causes'] != '').mean():.0%}",
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for each world."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("worlds", nargs="*", default=WORLDS)
    parser.add_argument("--logs", type=int, default=40)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--trace", default="", help="times and lengths of this public corpus")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args(arguments)
    if others := sorted({*asked.worlds} - {*WORLDS}):
        parser.error(f"found {others}; some of {', '.join(WORLDS)} are allowed")
    every = []
    for world in asked.worlds:
        began = time.perf_counter()
        with ProcessPoolExecutor(asked.jobs) as pool:
            one = partial(found_of, world, asked.calls, trace=asked.trace)
            each = list(pool.map(one, range(asked.logs)))
        frame = pd.DataFrame([asdict(found) for found in each])
        every.append(frame)
        said = "  ".join(f"{name} {value}" for name, value in line_of(frame).items())
        print(f"{world}: {said}  ({time.perf_counter() - began:.0f} s)", flush=True)
        for cause, count in frame["causes"].value_counts().head(3).items():
            print(f"    {count}: {cause or 'no cause'}", flush=True)
    if asked.out is not None:
        pd.concat(every).to_csv(asked.out, index=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
