"""The choices of controls keep their mix and learn on other folds only."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routingsim.corpora.corpus import Corpus
from routingsim.evaluation import (
    category_choice,
    hull_mix,
    length_choice,
    non_decreasing_hull,
    shuffled,
)

choice_lists = st.lists(st.integers(0, 3), min_size=1, max_size=50)


@pytest.mark.slow
@given(choice_lists, st.integers(0, 9))
def test_shuffle_keeps_the_mix(chosen: list[int], seed: int) -> None:
    dealt = shuffled(chosen, seed=seed)
    assert Counter(dealt.tolist()) == Counter(chosen)
    assert np.array_equal(dealt, shuffled(chosen, seed=seed))


@pytest.mark.slow
@given(choice_lists, st.permutations([0.1, 0.2, 0.3, 0.4]))
def test_length_keeps_the_mix_and_sends_the_longest_to_the_dearest(chosen, prices) -> None:
    texts = ["y" * ((7 * k) % 13) for k in range(len(chosen))]
    mix = np.bincount(chosen, minlength=4) / len(chosen)
    found = length_choice(texts, mix, prices)
    assert Counter(found.tolist()) == Counter(chosen)
    by_length = sorted(range(len(texts)), key=lambda k: -len(texts[k]))
    paid = [prices[found[k]] for k in by_length]
    assert paid == sorted(paid, reverse=True)


@pytest.mark.slow
def test_category_learns_on_other_folds_only(made_up: Callable[..., Corpus]) -> None:
    corpus = made_up()
    quality = corpus.outcome("quality", ["a", "b", "c"])
    labels = corpus.tasks["category"].tolist()
    assert category_choice(quality, labels).tolist() == [0, 1] * 30
    # Where each task is a category of its own there is nothing to learn it from: the
    # choice is one for a whole fold, and knows nothing of the task.
    found = category_choice(quality, [str(k) for k in range(60)], seed=1)
    fold = np.random.default_rng(1).permutation(60) % 5
    assert all(len(set(found[fold == held])) == 1 for held in range(5))
    # Noise is not learned: in the data, every category has a best agent.
    rng = np.random.default_rng(2)
    noise = (rng.random((4000, 2)) < 0.5).astype(float)
    labels = rng.integers(0, 2000, 4000).astype(str).tolist()
    gained = noise[np.arange(4000), category_choice(noise, labels)].mean()
    assert gained == pytest.approx(0.5, abs=4.5 * 0.5 / np.sqrt(4000))


@given(st.floats(0, 12))
def test_zero_router_mix_pays_and_earns_what_the_hull_says(cost: float) -> None:
    prices, qualities = np.array([1.0, 4, 9, 5]), np.array([0.2, 0.7, 0.9, 0.3])
    hull = non_decreasing_hull(prices, qualities)
    mix = hull_mix(hull, cost, 4)
    assert mix.sum() == pytest.approx(1)
    assert (mix >= 0).all()
    within = min(max(cost, 1), 9)
    assert mix @ prices == pytest.approx(within)
    assert mix @ qualities == pytest.approx(float(hull.at(within)))
