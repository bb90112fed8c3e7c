"""Records that are skipped are compared with those that are read."""

import numpy as np
import pandas as pd
import pytest

from routingsim import Corpus

N = 600
DICE = np.random.default_rng(4)
CODE = DICE.random(N) < 0.3
LONG = DICE.random(N) < 0.2


def corpus(bad: np.ndarray) -> Corpus:
    quality = pd.Series(np.where(DICE.random(N) < 0.5, 1.0, 0.0), dtype=object)
    quality[bad] = "n/a?"
    frame = pd.DataFrame(
        {
            "id": range(N),
            "text": np.where(LONG, "x" * 300, "x" * 40),
            "category": np.where(CODE, "code", "mail"),
            "outcomes.a.quality": 1.0,
            "outcomes.b.quality": quality,
        }
    )
    frame["text"] += frame["id"].astype(str)
    return Corpus.from_frame(frame, on_error="skip")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (CODE & (np.arange(N) % 2 == 0), "category is code in 100 % of them, and in"),
        (LONG, "characters on average, "),
        (np.arange(N) < 60, "half of them are in the first "),
        (np.arange(N) % 6 == 0, ""),
        (np.arange(N) < 8, ""),
    ],
)
def test_not_at_random(bad: np.ndarray, said: str) -> None:
    found = corpus(bad).check().findings
    assert [said in each.what for each in found] == [True] * bool(said)
    if said:
        count = int(bad.sum())
        start = f"{count} of 600 records are skipped, and not at random: "
        assert found[0].what.startswith(start)
        assert (found[0].subject, found[0].severity) == ("records", "wrong")
