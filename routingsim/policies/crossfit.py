"""Predictions for a corpus by a predictor that learns from that same corpus."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routingsim.caching import Once, once
from routingsim.corpora.corpus import Corpus
from routingsim.policies.builtin_predictors import PREDICTORS
from routingsim.policies.folds import plain, prompts
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
    n_jobs: int | None = 1  # folds fitted at the same time
    _whole: Once = field(default_factory=Once, repr=False, compare=False)
    _crossed: Once = field(default_factory=Once, repr=False, compare=False)

    @property
    def whole(self) -> QualityPredictor:
        """Fitted on the whole corpus."""
        return self._whole.get(lambda: copy(self.predictor).fit(self.corpus, self.agents))

    @property
    def crossed(self) -> NDArray[np.float64]:
        """Predictions for the corpus by cross-validation, shape (tasks, agents).

        Of a log in which too few texts differ for that, by the fit on the whole corpus.
        """
        return self._crossed.get(self._cross)

    def _cross(self) -> NDArray[np.float64]:
        if self.uncrossed:
            tasks = self.corpus.tasks
            return self.in_sample(tasks["text"].tolist(), tasks["category"].tolist())
        return self.predictor.cross_predict(
            self.corpus, self.agents, folds=FOLDS, seed=self.seed, n_jobs=self.n_jobs
        )

    @cached_property
    def known(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The qualities, and which of them are learned from, shape (tasks, agents) each."""
        return self.predictor.check(self.corpus, self.agents)

    @property
    def apart(self) -> bool:
        """Whether agents are learned from different tasks, each by a fit of its own."""
        known = self.known[1]
        return not (known == known[:, :1]).all()

    @cached_property
    def uncrossed(self) -> bool:
        """Whether agents are apart, and fewer texts differ than there are folds."""
        if not self.apart:
            return False
        return np.unique(prompts(self.corpus)).size < FOLDS

    def mean(self) -> NDArray[np.float64]:
        """Mean quality of each agent over the tasks that it is learned from."""
        quality, known = self.known
        if not self.apart:
            return quality[known[:, 0]].mean(axis=0)
        return np.array([mine[each].mean() for mine, each in zip(quality.T, known.T, strict=True)])

    def notes(self, name: str) -> tuple[str, ...]:
        """What a reader should know of the fits of the policy ``name`` to a partial record."""
        known = self.known[1]
        if known.all():
            return ()
        saw = zip(self.agents, known.sum(axis=0).tolist(), strict=True)
        said = [
            f"{name}: quality models of {', '.join(f'{a} saw {n:,}' for a, n in saw)} of "
            f"{len(self.corpus):,} tasks"
        ]
        steps = getattr(self.predictor.estimator, "steps", None)
        if self.apart and steps and getattr(steps[-1][1], "margin", 0):
            said.append(
                f"{name}: its margin compares agents on the same tasks, and these are recorded on "
                "different ones: it has no effect"
            )
        if self.uncrossed:
            said.append(
                f"{name}: too few texts differ for {FOLDS} folds: it is fitted on the tasks that "
                "it predicts, and its figures are in-sample"
            )
        return tuple(said)

    @cached_property
    def rows(self) -> dict[str, int]:
        """A row of each plain text. Equal texts are in one fold, so any of their rows will do."""
        texts = self.corpus.tasks["text"].tolist()
        return {plain(text): row for row, text in enumerate(texts)}

    def cross_fitted(self, texts: Sequence[str], labels: Sequence[str]) -> NDArray[np.float64]:
        """Predict the corpus's own texts from folds without them, and others from all of it.

        The tasks of a corpus without texts are known as its own where all are asked, in order.
        """
        if not self.corpus.has_texts:
            own = list(labels) == self.corpus.tasks["category"].tolist() and not any(texts)
            return self.crossed if own else self.in_sample(texts, labels)
        row = np.array([self.rows.get(plain(text), -1) for text in texts], dtype=np.intp)
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


@once(8)  # a sweep makes the same policies many times
def builtin_fits(
    kind: str,
    options: tuple[tuple[str, Any], ...],
    corpus: Corpus,
    agents: tuple[str, ...],
    seed: int,
) -> Fits:
    """The fits of a built-in predictor, by its name and its maker's keyword arguments."""
    return Fits(PREDICTORS[kind](**dict(options)), corpus, agents, seed, n_jobs=None)
