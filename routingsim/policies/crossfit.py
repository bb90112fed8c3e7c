"""Predictions for a corpus by a predictor that learns from that same corpus."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routingsim.corpora.corpus import Corpus
from routingsim.policies.builtin_predictors import PREDICTORS
from routingsim.policies.predictors import QualityPredictor

FOLDS = 5
"""Folds of the cross-validation."""


@dataclass(frozen=True, eq=False)
class Fits:
    """A predictor's fits to one corpus, made when first asked for. The predictor stays as it is."""

    predictor: QualityPredictor
    corpus: Corpus
    agents: tuple[str, ...]  # outcome names, a column each
    seed: int  # of the folds

    @cached_property
    def whole(self) -> QualityPredictor:
        """Fitted on the whole corpus."""
        return copy(self.predictor).fit(self.corpus, self.agents)

    @cached_property
    def crossed(self) -> NDArray[np.float64]:
        """Predictions for the corpus by cross-validation, shape (tasks, agents)."""
        return self.predictor.cross_predict(self.corpus, self.agents, folds=FOLDS, seed=self.seed)

    @cached_property
    def rows(self) -> dict[str, int]:
        """A row of each text. Equal texts are in one fold, so any of their rows will do."""
        return {text: row for row, text in enumerate(self.corpus.tasks["text"].tolist())}

    def cross_fitted(self, texts: Sequence[str], labels: Sequence[str]) -> NDArray[np.float64]:
        """Predict the corpus's own texts from folds without them, and others from all of it."""
        row = np.array([self.rows.get(text, -1) for text in texts], dtype=np.intp)
        predicted = np.empty((row.size, len(self.agents)))
        own, new = row >= 0, np.flatnonzero(row < 0).tolist()
        if own.any():
            predicted[own] = self.crossed[row[own]]
        if new:
            predicted[new] = self.in_sample([texts[i] for i in new], [labels[i] for i in new])
        return predicted

    def in_sample(self, texts: Sequence[str], labels: Sequence[str]) -> NDArray[np.float64]:
        """Predict all texts from a fit on the whole corpus, its own texts too."""
        return self.whole.predict(texts, labels)


@lru_cache(maxsize=8)  # a sweep makes the same policies many times
def builtin_fits(
    kind: str,
    options: tuple[tuple[str, Any], ...],
    corpus: Corpus,
    agents: tuple[str, ...],
    seed: int,
) -> Fits:
    """The fits of a built-in predictor, by its name and its maker's keyword arguments."""
    return Fits(PREDICTORS[kind](**dict(options)), corpus, agents, seed)
