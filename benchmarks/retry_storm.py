"""A retry storm that outlives its cause, and the retry budget that ends it.

    python benchmarks/retry_storm.py [--quick]

Four equal agents of eight slots, lognormal service of mean 2 s (cv 0.5), Poisson arrivals to the
least loaded. A call is given up after 6 s; it holds its slot until it would have ended
(``holds``), or frees it at once (``frees``). From 600 s on all agents are at a quarter of
their speed, for one minute. Calls that are given up are tried again 1, 2 and 4 s later, up to
half of that random. Given are the shares of tasks answered, by when they arrive; those 19 to 39
minutes after the slow minute also in a run without it; and their calls a task. Means of eight
seeds, an hour each (--quick: two); "±" is the half-width of a 95 % interval over the seeds.
"""

import argparse

import routingsim as rs
from routingsim.evaluation import t_interval

SLOW, NORMAL, END = 600.0, 660.0, 3600.0
BEFORE, SOON, LATER = (300.0, SLOW), (NORMAL, 900.0), (1800.0, 3000.0)
LOADS = (0.5, 0.6, 0.7, 0.8, 0.9)
RULES = {
    "1 try": rs.Retries(1),
    "2 tries": rs.Retries(2, jitter=0.5, on="timed_out"),
    "3 tries": rs.Retries(3, jitter=0.5, on="timed_out"),
    "4 tries": rs.Retries(4, jitter=0.5, on="timed_out"),
    "4, budget .2": rs.Retries(4, jitter=0.5, on="timed_out", budget=0.2),
    "4, budget .1": rs.Retries(4, jitter=0.5, on="timed_out", budget=0.1),
}
HEADS = ("before", "4 min after", "19 min after", "without", "calls a task")


def replay(
    load: float, rules: rs.Retries, seed: int, *, cut_off: str = "holds", slow: bool = True
) -> rs.ReplayResult:
    """One hour at a load, with or without the slow minute."""
    each = {"cost": 0.01, "latency": 2.0, "concurrency": 8, "timeout": 6.0, "cut_off": cut_off}
    pool = rs.AgentPool(tuple(rs.Agent(id=f"a{k}", name=f"A{k}", **each) for k in range(4)))
    rate = load * pool.capacity
    speeds = ((SLOW, 0.25), (NORMAL, 1.0)) if slow else ()
    return rs.replay(
        *(None, pool, "least-loaded"),
        arrivals=rs.Poisson(rate),
        tasks=round(rate * END),
        seed=seed,
        retries=rules,
        changes=[rs.Change(id, at, speed=speed) for at, speed in speeds for id in pool.ids],
    )


def answered(result: rs.ReplayResult, span: tuple[float, float]) -> float:
    """The share answered of the tasks that arrive in a span, in per cent."""
    arrived = result.work.arrived
    return 100 * float((result.log.status == 0)[(arrived >= span[0]) & (arrived < span[1])].mean())


def figures(load: float, rules: rs.Retries, seed: int, cut_off: str) -> list[float]:
    """The columns of the table, of one seed."""
    run = replay(load, rules, seed, cut_off=cut_off)
    plain = replay(load, rules, seed, cut_off=cut_off, slow=False)
    late = (run.work.arrived >= LATER[0]) & (run.work.arrived < LATER[1])
    shares = [answered(run, span) for span in (BEFORE, SOON, LATER)]
    return [*shares, answered(plain, LATER), float(run.log.attempts[late].mean())]


def main() -> None:
    """Print a table for each of both ways to cut off."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer runs")
    seeds = 2 if parser.parse_args().quick else 8
    for cut_off in ("holds", "frees"):
        print(f"\na call that is given up {cut_off} its slot; answered, in per cent")
        print(f"{'load':>5} {'rules':>13}" + "".join(f"{head:>14}" for head in HEADS))
        for load in LOADS:
            for name, rules in RULES.items():
                runs = [figures(load, rules, seed, cut_off) for seed in range(seeds)]
                found = [t_interval(column) for column in zip(*runs, strict=True)]
                said = [f"{each.mean:.1f} ± {each.half_width:.1f}" for each in found[:-1]]
                line = "".join(f"{each:>14}" for each in (*said, f"{found[-1].mean:.2f}"))
                print(f"{load:5.1f} {name:>13}{line}", flush=True)


if __name__ == "__main__":
    main()
