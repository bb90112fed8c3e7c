"""Latencies that can hardly be seconds are named, and not changed."""

import numpy as np
import pandas as pd
import pytest

from routingsim.corpora.corpus import Corpus

NAN = np.nan


def notes(latency: list[float], tokens: list[float] | None = None) -> tuple[str, ...]:
    frame = pd.DataFrame(
        {
            "id": [str(row) for row in range(len(latency))],
            "text": "x",
            "outcomes.claude.latency": latency,
            "outcomes.other.latency": 2.5,
        }
    )
    if tokens:
        frame["output_tokens"] = tokens
    corpus = Corpus.from_frame(frame)
    assert corpus.outcome("latency", ["claude"])[:, 0].tolist() == latency
    return tuple(each.what for each in corpus.check().findings)


@pytest.mark.parametrize(
    ("scale", "said"),
    [
        (1.0, "2,514.5 s; these are probably milliseconds"),
        (1e3, "2.5145e+06 s; these are probably microseconds"),
        (1e6, "2.5145e+09 s; these are probably nanoseconds"),
    ],
)
def test_the_probable_unit_is_named(scale: float, said: str) -> None:
    latency = [scale * (2500 + row) for row in range(30)]
    assert notes(latency) == (f"outcomes.claude.latency: read as seconds, with a median of {said}",)


def test_tokens_tell_seconds_from_milliseconds() -> None:
    assert notes([99.0, 99.0]) == ()
    assert len(notes([812.5, 900.25])) == 1
    # 300 tokens in 800 s are less than one a second; 3,000 in 800 s are a slow agent.
    assert len(notes([800.0, 800.0], [300.0, 300.0])) == 1
    assert notes([800.0, 800.0], [3000.0, 3000.0]) == ()
