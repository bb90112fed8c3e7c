"""On how many tasks agents are recorded: whole and block by block alike."""

import math
from collections import Counter
from typing import Any

import pandas as pd
import pytest

from routingsim.corpora.corpus import Corpus
from routingsim.corpora.coverage import Coverage

NAN = math.nan


def corpus(**columns: list[Any]) -> Corpus:
    count = len(next(iter(columns.values())))
    outcomes = {f"outcomes.{name.replace('_', '.')}": values for name, values in columns.items()}
    given = {"id": [str(k) for k in range(count)], "text": ["x"] * count, **outcomes}
    return Corpus.from_frame(pd.DataFrame(given))


def log(both: int, tasks: int = 40) -> Corpus:
    """Each task has one answer, of a or b in turn; the first ``both`` have two."""
    a = [1.0 if k < both or k % 2 else NAN for k in range(tasks)]
    b = [1.0 if k < both or not k % 2 else NAN for k in range(tasks)]
    return corpus(a_quality=a, b_quality=b)


def test_failed_calls_count_as_known_quality_and_tasks_add_up() -> None:
    whole = corpus(
        a_quality=[1.0, NAN, NAN, 0.0], b_quality=[0.5, NAN, 1.0, NAN], a_failed=[0, 1, 0, 0]
    )
    found = Coverage.of(whole, "quality")
    assert found == Coverage(4, Counter(a=3, b=2), answered=4, several=1, valued=True)
    halves = [Coverage.of(whole.select(rows), "quality") for rows in ([0, 1], [2, 3])]
    assert halves[0] + halves[1] == found
    cost = Coverage.of(whole, "cost")
    assert (cost.answered, cost.valued, cost.kind(["a"])) == (0, False, "none")


@pytest.mark.parametrize(
    ("recorded", "agents", "kind"),
    [
        (corpus(a_quality=[1.0, 0.0], b_quality=[1.0, NAN]), ["a"], "complete"),
        (corpus(a_quality=[1.0, 0.0], b_quality=[1.0, NAN]), ["a", "nobody"], "complete"),
        (corpus(a_quality=[1.0, 0.0], b_quality=[1.0, NAN]), ["a", "b"], "common"),
        (corpus(a_quality=[1.0, 0.0], b_quality=[1.0, NAN]), ["nobody"], "none"),
        (corpus(a_failed=[1, 1], a_quality=[NAN, NAN]), ["a"], "none"),
        (corpus(a_quality=[1.0, NAN]), ["a"], "common"),
        (log(2), ["a", "b"], "log"),
        (log(2), ["a"], "log"),
        (log(3), ["a", "b"], "common"),
    ],
)
def test_kinds_of_records(recorded: Corpus, agents: list[str], kind: str) -> None:
    assert Coverage.of(recorded, "quality").kind(agents) == kind
