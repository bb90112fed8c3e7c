"""Records that are skipped are compared with those that are read."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from routingsim import Corpus, load_corpus
from routingsim.corpora.checkup.finding import Finding

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


def cut(tmp_path: Path, bad: range, size: int = 300) -> list[Finding]:
    """The findings in a file of which these lines are cut off."""
    line = '{{"id": "{0}", "text": "task {0}"}}'
    lines = [line.format(k)[: 12 if k in bad else None] for k in range(size)]
    (tmp_path / "cut.jsonl").write_text("\n".join(lines))
    return list(load_corpus(tmp_path / "cut.jsonl", on_error="skip").check().findings)


def test_records_that_cannot_be_read_are_said_to_be_compared_with_none(tmp_path: Path) -> None:
    said = "records cannot be read at all, so whether their tasks are like the rest is not known"
    [late] = cut(tmp_path, range(270, 300))
    assert late.what == f"30 of 300 {said}; half of them are in the last 5 % of the file"
    assert (late.subject, late.severity, late.touches) == (
        *("records", "wrong"),
        "every figure, if they are not",
    )
    [even] = cut(tmp_path, range(0, 300, 10))
    assert even.what == f"30 of 300 {said}"
    [few] = cut(tmp_path, range(0, 3000, 250), 3000)
    assert (few.what, few.severity) == (f"12 of 3,000 {said}", "suspicious")
    assert [each.severity for each in cut(tmp_path, range(6))] == ["wrong"]
    assert cut(tmp_path, range(5)) == []


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
