"""Does FS-QMIX, trained in the simulator, beat policies that learn nothing?

Trains on one half of a corpus under load and replays the other half under the same load:
each policy under the same seeds, so that differences are paired. Each replication trains
anew, so that intervals include the variance of training.
The reward of a task is its quality (0 where it was not answered) less ``W_LATENCY`` a
second. Rates and levels were chosen on the training half.
Run as ``python benchmarks/fs_qmix.py [CORPUS]``.
"""

import sys

import numpy as np

import routingsim as rs
from routingsim.evaluation.intervals import paired_t, t_interval
from routingsim.policies import make_policy
from routingsim.simulation.arrivals import Poisson
from routingsim.simulation.scenario import prepare
from routingsim.simulation.training import train

LOAD = 0.9
W_LATENCY = 0.02  # a point of quality for half a second
EPISODES = 100
REPLICATIONS = 20
SETTINGS = f"bounds=calibrated,rate=0.005,w_latency={W_LATENCY}"
LEARNED = {
    "fs-qmix, the pool's load": f"fs-qmix:{SETTINGS}",
    "fs-qmix, each agent's load": f"fs-qmix:own=true,{SETTINGS}",
}
RULES = ("threshold", "threshold:calibrated", "least-loaded", "shortest-wait")


def main() -> None:
    """Print rewards with 95 % intervals, and paired differences from each rule."""
    corpus = rs.load_corpus(sys.argv[1] if len(sys.argv) > 1 else "paretobandit-val")
    pool = rs.load_agents("paretobandit")
    training, held_out = corpus.split(0.5, seed=0)

    def made(name: str, seed: int) -> rs.Policy:
        if name not in LEARNED:  # calibrated, where it is, on the training half too
            return make_policy(pool, name, training)
        return train(
            training, pool, LEARNED[name], episodes=EPISODES, load=LOAD, seed=seed, progress=False
        )

    rewards = {}
    print(f"{'policy':28} {'reward':>17} {'quality':>8} {'latency s':>10} {'USD a task':>11}")
    for name in (*RULES, *LEARNED):
        rows = []
        for seed in range(REPLICATIONS):
            scenario = prepare(held_out, pool, made(name, seed))
            arrivals = Poisson(LOAD * scenario.capacity)
            result = scenario.run(arrivals, seed=seed, order="shuffled")
            quality = np.nan_to_num(result.quality)
            reward = (quality - W_LATENCY * result.latency).mean()
            rows.append((reward, quality.mean(), result.latency.mean(), result.log.cost.mean()))
        reward, quality, latency, cost = np.array(rows).T
        rewards[name] = reward
        print(
            f"{name:28} {t_interval(reward)!s:>17} {quality.mean():8.3f} {latency.mean():10.2f} "
            f"{cost.mean():11.2g}"
        )
    for learned in LEARNED:
        for name in RULES:
            print(f"{learned} - {name}: {paired_t(rewards[learned], rewards[name])}")


if __name__ == "__main__":
    main()
