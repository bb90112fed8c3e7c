"""A corpus of a user's own."""

from pathlib import Path

import pandas as pd
import pytest


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A corpus of the user's own."""
    path = tmp_path / "mine.csv"
    pd.DataFrame(
        {"id": ["a", "b", "c"], "text": ["Hi", "Prove, please: 1 < 2!", "What is NaN?"],
         "outcomes.gpt-4.quality": [1.0, 0.5, None]}
    ).to_csv(path, index=False)  # fmt: skip
    return path
