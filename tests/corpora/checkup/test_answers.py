"""One column of tokens for whoever answered is named where the agents' answers differ."""

import numpy as np

from routingsim.corpora.checkup.answers import shared_tokens

from .columns import NAN, columns

TERSE = np.arange(60) % 2 == 0


def read(tokens, own=NAN):
    return columns(
        60,
        output_tokens=tokens,
        terse={"quality": np.where(TERSE, 1.0, NAN), "output_tokens": np.where(TERSE, own, NAN)},
        verbose={"quality": np.where(TERSE, NAN, 1.0), "output_tokens": np.where(TERSE, NAN, own)},
    )


def test_answers_that_differ() -> None:
    wobble = np.arange(60) % 5
    [one] = shared_tokens(read(np.where(TERSE, 58.0, 598.0) + wobble))
    assert one.what == (
        "output_tokens are those of whoever answered: 600 on average where verbose did, 60 where "
        "terse did: on a task that another answered, an agent is given these tokens times the "
        "ratio of their means"
    )
    assert (one.subject, one.severity) == ("tokens", "suspicious")
    assert shared_tokens(read(100.0 + wobble)) == []  # no agent writes more
    assert shared_tokens(read(100.0 + wobble, 100.0)) == []  # each has its own
    assert shared_tokens(columns(60, output_tokens=wobble, a={"quality": 1.0})) == []
    both = columns(60, output_tokens=wobble, a={"quality": 1.0}, b={"quality": 1.0})
    assert shared_tokens(both) == []
