"""Policies that read the task are told from those that do not."""

import numpy as np
import pytest

from routingsim.corpora.corpus import Corpus
from routingsim.errors import CorpusError, SimulationError
from routingsim.evaluation import (
    oracle,
    text_use,
)


def test_a_policy_that_reads_is_told_from_one_that_does_not(pareto: Corpus) -> None:
    quality = pareto.outcomes["quality"]
    reads = text_use(quality, oracle(quality, pareto.outcomes["cost"]), permutations=199)
    assert reads.uses_text
    assert str(reads).startswith("uses the text: quality 0.9719")
    blind = np.random.default_rng(3).choice(4, size=len(pareto), p=[0.1, 0.4, 0.2, 0.3])
    found = text_use(quality, blind, permutations=199)
    assert not found.uses_text
    assert str(found).startswith("does not use the text")
    mix = np.bincount(blind, minlength=4) / blind.size
    assert found.shuffled == pytest.approx(mix @ quality.mean(axis=0), abs=0.003)


def test_one_agent_for_all_does_not_use_the_text() -> None:
    found = text_use([[1.0, 0.3], [0.1, 1.0]] * 10, [0] * 20)
    assert (found.p_value, found.uses_text) == (1.0, False)


@pytest.mark.slow
def test_blind_policies_are_seldom_said_to_read(seed: int) -> None:
    rng = np.random.default_rng(seed)
    quality = rng.random((200, 3))
    said = sum(
        text_use(quality, rng.integers(0, 3, 200), permutations=99, seed=k).uses_text
        for k in range(300)
    )
    print(f"said to read: {said} of 300")
    assert said / 300 < 0.11


def test_text_use_counts_what_it_leaves_out() -> None:
    found = text_use([[1.0, 0.0], [np.nan, 1.0]] * 20, [0, 1] * 20)
    assert (found.tasks, found.left_out) == (20, 20)
    with pytest.raises(SimulationError, match="permutations"):
        text_use([[1.0, 0.0]], [0], permutations=3)


def test_prompts_that_come_again_are_one_piece_of_evidence_by_hand() -> None:
    quality = [[1.0, 0.0]] * 30 + [[0.0, 1.0]] * 30
    chosen = [0] * 30 + [1] * 30
    alone = text_use(quality, chosen)
    assert (alone.p_value, alone.uses_text, alone.prompts) == (0.0005, True, 60)
    # Two prompts can be shuffled in two ways, of which one is the policy's own.
    pairs = text_use(quality, chosen, groups=[7] * 30 + [3] * 30)
    assert (pairs.quality, pairs.uses_text, pairs.prompts) == (1.0, False, 2)
    assert pairs.p_value == pytest.approx(0.5, abs=0.05)
    assert str(pairs).endswith("60 tasks of 2 prompts)")
    each = text_use(quality, chosen, groups=range(60))
    assert each == alone
    with pytest.raises(CorpusError, match="groups: shape"):
        text_use(quality, chosen, groups=[1, 2])


@pytest.mark.slow
def test_blind_policies_on_few_prompts_are_seldom_said_to_read(seed: int) -> None:
    rng = np.random.default_rng(seed)
    prompt = np.repeat(np.arange(30), 40)
    said = {True: 0, False: 0}
    for k in range(200):
        quality, chosen = rng.random((30, 2))[prompt], rng.integers(0, 2, 30)[prompt]
        for grouped in said:
            groups = prompt if grouped else None
            found = text_use(quality, chosen, groups=groups, permutations=99, seed=k)
            said[grouped] += found.uses_text
    print(f"said to read, of 200: by prompts {said[True]}, by tasks {said[False]}; seed {seed}")
    assert said[True] <= 23  # 5 %, plus four standard errors
    assert said[False] > 60
