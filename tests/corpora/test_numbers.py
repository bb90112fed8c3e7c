"""Numbers are read as a file writes them where that is unambiguous, and else refused."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from routingsim.corpora.corpus import Corpus
from routingsim.corpora.datasets import load_corpus
from routingsim.errors import CorpusError

Write = Callable[..., Path]


def table(field: str, cells: list[str], separator: str = ",") -> str:
    rows = [f"{row}{separator}x{separator}{cell}" for row, cell in enumerate(cells)]
    return "\n".join([separator.join(["id", "text", field]), *rows])


READ = {
    "null": (
        ("outcomes.a.cost", ["null", "1"]),
        [math.nan, 1.0],
        "outcomes.a.cost: 1 value read as not recorded, as 'null'",
    ),
    "NaN": (
        ("outcomes.a.cost", ["NaN", "1"]),
        [math.nan, 1.0],
        "outcomes.a.cost: 1 value read as not recorded, as 'NaN'",
    ),
    "other words for nothing": (
        ("outcomes.a.cost", ["-", "None", "NA", "n/a", "3"]),
        [math.nan] * 4 + [3.0],
        "outcomes.a.cost: 4 values read as not recorded, as '-'",
    ),
    "truths": (
        ("outcomes.a.quality", ["true", "False", "0.5"]),
        [1.0, 0.0, 0.5],
        "outcomes.a.quality: 2 values read with true as 1 and false as 0, as 'true'",
    ),
    "thousands of a count": (
        ("prompt_tokens", ['"1,234"', '"2,345"']),
        [1234.0, 2345.0],
        "prompt_tokens: 2 values read with the comma as thousands separator, as '1,234'",
    ),
    "thousands beside a point": (
        ("outcomes.a.cost", ['"1,234"', "0.5"]),
        [1234.0, 0.5],
        "outcomes.a.cost: 1 value read with the comma as thousands separator, as '1,234'",
    ),
    "spaces": (
        ("prompt_tokens", ["1 234", "12'345"]),
        [1234.0, 12345.0],
        "prompt_tokens: 2 values read without thousands separators, as '1 234'",
    ),
    "decimal commas": (
        ("arrived_at", ["0,5", "1,234"], ";"),
        [0.5, 1.234],
        "arrived_at: 2 values read with the comma as decimal mark, as '0,5'",
    ),
    "points as thousands separators": (
        ("outcomes.a.cost", ["1.234,5", "2.345", "7"], ";"),
        [1234.5, 2345.0, 7.0],
        "outcomes.a.cost: 2 values read with the comma as decimal mark, as '1.234,5'",
    ),
    "points in a count": (
        ("prompt_tokens", ["1.234", "12"], ";"),
        [1234.0, 12.0],
        "prompt_tokens: 1 value read with the point as thousands separator, as '1.234'",
    ),
}


@pytest.mark.parametrize("case", READ)
def test_unambiguous_numbers_are_read_and_counted(write: Write, case: str) -> None:
    content, values, note = READ[case]
    corpus = load_corpus(write(table(*content), "tasks.csv"))
    found = corpus.to_frame()[content[0]].to_numpy()
    np.testing.assert_array_equal(found, values)
    assert corpus.notes == (note,)


def test_plain_numbers_need_no_note(write: Write) -> None:
    corpus = load_corpus(write(table("outcomes.a.cost", ["1.234", "1e-3", "", "7"], ";"), "t.csv"))
    np.testing.assert_array_equal(corpus.outcomes["cost"][:, 0], [1.234, 0.001, np.nan, 7.0])
    assert corpus.notes == ()


REFUSED = {
    "thousands or decimals": (
        ("outcomes.a.cost", ['"1,234"', "2"]),
        "outcomes.a.cost: expected a finite number >= 0, found '1,234', which can be 1234 or "
        "1.234; write it without a comma",
    ),
    "decimal comma among commas": (
        ("outcomes.a.cost", ['"0,5"', "2"]),
        "outcomes.a.cost: expected a finite number >= 0, found '0,5'; write a decimal point, or "
        "separate cells by semicolons or tabs",
    ),
    "two decimal marks": (
        ("outcomes.a.cost", ["0,5", "1.5"], ";"),
        "outcomes.a.cost: expected a finite number >= 0, found '0,5'; other values of the column "
        "have another decimal mark; write points",
    ),
    "a currency": (
        ("outcomes.a.cost", ["$0.02"]),
        "outcomes.a.cost: expected a finite number >= 0, found '$0.02'; write the number alone",
    ),
    "per cent": (
        ("outcomes.a.quality", ["85%"]),
        "outcomes.a.quality: expected a number from 0 to 1, found '85%'; divide by 100",
    ),
    "a truth as a count": (
        ("prompt_tokens", ["true"]),
        "prompt_tokens: expected a finite number >= 0, found 'true'",
    ),
    "infinity of a count": (
        ("prompt_tokens", ["inf"], ";"),
        "prompt_tokens: expected a finite number >= 0, found 'inf'",
    ),
    "infinity": (
        ("outcomes.a.cost", ["inf"]),
        "outcomes.a.cost: expected a finite number >= 0, found 'inf'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_ambiguous_numbers_are_refused_with_the_remedy(write: Write, case: str) -> None:
    content, said = REFUSED[case]
    path = write(table(*content), "tasks.csv")
    with pytest.raises(CorpusError) as caught:
        load_corpus(path)
    assert str(caught.value) == (
        f"{path}:2: {said}. Mend the file, or leave such records out with on_error='skip' "
        "(--on-error skip)"
    )


def test_numbers_of_frames_and_json_are_read_alike(write: Write) -> None:
    frame = pd.DataFrame(
        {
            "id": ["a", "b"],
            "text": "x",
            "outcomes.m.quality": [True, False],
            "prompt_tokens": "1,234",
        }
    )
    corpus = Corpus.from_frame(frame)
    assert corpus.outcomes["quality"][:, 0].tolist() == [1.0, 0.0]
    assert corpus.tasks["prompt_tokens"].tolist() == [1234.0, 1234.0]
    path = write('{"id": "a", "text": "x", "outcomes": {"m": {"quality": true, "cost": "0.5"}}}')
    corpus = load_corpus(path)
    assert corpus.outcomes["quality"].tolist() == [[1.0]]
    assert corpus.outcomes["cost"].tolist() == [[0.5]]
    assert corpus.notes == (
        "outcomes.m.quality: 1 value read with true as 1 and false as 0, as True",
    )
