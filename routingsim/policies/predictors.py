"""Quality per agent, predicted from the text by any scikit-learn estimator.

scikit-learn takes a second to import, and most policies do not need it: it is imported
when a predictor is made or read.
"""

import json
import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from routingsim.corpora.corpus import Corpus
from routingsim.errors import PolicyError, UnlearnableError
from routingsim.files import written
from routingsim.policies.fitted import FittedTexts
from routingsim.policies.folds import folds as grouped_folds
from routingsim.threads import mapped

RIGHT = 0.5
"""Quality from which an answer counts as right, for classifiers."""

LEAST = 5
"""Tasks that must be recorded of an agent, where agents are recorded on different tasks."""

WHOLE = 0.95
"""Share of the recorded tasks that must record all agents for a fit on these alone."""

TRUSTED = (
    "routingsim.policies.estimators.ClusterMeans",
    "routingsim.policies.estimators.Columns",
    "routingsim.policies.estimators.FrequentColumns",
    "routingsim.policies.estimators.GuardedNeighbors",
    "routingsim.policies.estimators.MeanOf",
    "routingsim.policies.estimators.UnitSVD",
    "routingsim.policies.estimators.dense",
    "routingsim.policies.estimators.text_counts",
    "scipy.sparse._csr.csr_array",  # read as numbers, by scipy's own reader
    "scipy.sparse._csr.csr_matrix",
)
"""Types that a saved predictor may hold besides those that skops trusts."""

_FORMAT = 2


class QualityPredictor:
    """Any scikit-learn estimator, from text to a quality per agent.

    A regressor learns the qualities as they are. A classifier learns whether each
    agent is right (quality >= 0.5) and predicts the probability. An estimator of a
    single output is fitted once an agent.

    All agents are learned from the tasks that record all of them, where these are 95 % or
    more of the tasks that record any. In other corpora, such as a log with one answer a
    task, each agent has a fit of its own, on the tasks that record it.

    Parameters
    ----------
    estimator : scikit-learn estimator
        Takes a list of texts: ``make_pipeline(TfidfVectorizer(), Ridge())``. An
        embedding goes in front of it as a transformer from texts to vectors. It is
        cloned, not changed.
    categories : bool
        Hand the estimator a DataFrame with columns ``text`` and ``category`` in place
        of a list, for a ``ColumnTransformer``.

    Attributes
    ----------
    agents : tuple of str
        Outcome names of the columns predicted; empty before :meth:`fit`.
    fitted_on : FittedTexts or None
        The texts that it learned from, on which its predictions are in-sample; None before
        :meth:`fit`.
    """

    def __init__(self, estimator: Any, *, categories: bool = False) -> None:
        self.estimator = estimator
        self.categories = categories
        self.agents: tuple[str, ...] = ()
        self.fitted_on: FittedTexts | None = None
        self._fitted: Any = None

    def __repr__(self) -> str:
        fitted = f"fitted on {len(self.agents)} agents" if self.agents else "not fitted"
        steps = getattr(self.estimator, "steps", None)
        shown = steps[-1][1] if steps else self.estimator
        return f"QualityPredictor({type(shown).__name__}, {fitted})"

    def fit(self, corpus: Corpus, agents: Sequence[str] | None = None) -> Self:
        """Learn from the tasks of which quality is recorded.

        Parameters
        ----------
        corpus : Corpus
        agents : sequence of str, optional
            Outcome names, in the order of the columns to predict; all the corpus
            knows by default.

        Raises
        ------
        PolicyError
            If nothing is recorded of an agent, or on fewer than five tasks where agents are
            recorded on different ones; the corpus has no texts, a classifier meets an agent
            that is always right or always wrong, or the estimator cannot be fitted.
        """
        names = corpus.agents if agents is None else tuple(agents)
        quality, known = self.check(corpus, names)
        inputs = self._shape(corpus.tasks)
        self._fitted = self._fit_known(self.estimator, inputs, quality, known, names, corpus.name)
        self.agents, self.fitted_on = names, FittedTexts.of(corpus, np.asarray(known.any(axis=1)))
        return self

    def predict(
        self, texts: Sequence[str], categories: Sequence[str] | None = None
    ) -> NDArray[np.float64]:
        """Predicted quality, shape (texts, agents), not clipped to [0, 1].

        Parameters
        ----------
        texts : sequence of str
        categories : sequence of str, optional
            The texts' categories; "" (none) by default.

        Raises
        ------
        PolicyError
            If it is not fitted.
        """
        if self._fitted is None:
            raise PolicyError(f"{self!r}: call fit(corpus, agents), or load one that is fitted")
        given = [""] * len(texts) if categories is None else list(categories)
        inputs = self._shape(pd.DataFrame({"text": list(texts), "category": given}, dtype=object))
        return _apply(self._fitted, inputs, len(texts), len(self.agents))

    def cross_predict(
        self,
        corpus: Corpus,
        agents: Sequence[str] | None = None,
        *,
        folds: int = 5,
        seed: int = 0,
        n_jobs: int | None = 1,
    ) -> NDArray[np.float64]:
        """Predict every task of a corpus from the folds it is not in.

        Texts that are alike are in the same fold (:mod:`routingsim.policies.folds`).
        First steps of a pipeline that need no fit (scikit-learn's tag ``requires_fit``),
        such as an embedding, are run once for all folds. The predictor itself is not
        changed.

        Parameters
        ----------
        corpus, agents
            As :meth:`fit`. Tasks without a recorded quality are predicted too.
        folds : int
            2 or more.
        seed : int
            Seed of the folds.
        n_jobs : int, optional
            Folds fitted at the same time, in threads; None for one a core. The estimator must
            allow that, as those of the built-in policies do.

        Returns
        -------
        ndarray of float64, shape (tasks, agents)

        Raises
        ------
        PolicyError
            As :meth:`fit`, and for the tasks outside each fold.
        SimulationError, CorpusError
            If there cannot be so many folds.
        """
        names = corpus.agents if agents is None else tuple(agents)
        quality, known = self.check(corpus, names)
        fold = grouped_folds(corpus.tasks["text"].tolist(), folds, seed=seed)
        ready, model = _run_first_steps(self._shape(corpus.tasks), self.estimator)
        predicted = np.empty_like(quality)

        def predict(held: int) -> None:
            train = known & (fold != held)[:, np.newaxis]
            test = np.flatnonzero(fold == held)
            fitted = self._fit_known(model, ready, quality, train, names, corpus.name)
            predicted[test] = _apply(fitted, _rows(ready, test), test.size, len(names))

        # The limit is the process's: set here, too, it stays when a thread ends its own.
        with threadpool_limits(1):
            list(mapped(predict, range(folds), n_jobs))
        return predicted

    def check(
        self, corpus: Corpus, agents: Sequence[str]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The qualities, and which of them to learn from, shape (tasks, agents) each.

        Columns of the second are equal where all agents are learned from the same tasks.
        """
        if not (corpus.has_texts or (self.categories and corpus.category_codes)):
            raise UnlearnableError(
                f"{corpus.name} has no texts to predict quality from"
                f"{', nor categories' if self.categories else ''}"
            )
        absent = [name for name in agents if name not in corpus.agents]
        recorded = ", ".join(corpus.agents) or "nobody"
        if absent:
            raise UnlearnableError(
                f"{corpus.name} records no outcome of {absent[0]!r}; it records {recorded} (an "
                "agent's `outcome` names its record)"
            )
        quality = corpus.outcome("quality", agents)
        known = np.asarray(~np.isnan(quality))
        if not agents or not known.any():
            raise UnlearnableError(
                f"{corpus.name}: no task has a recorded quality of any of "
                f"{', '.join(agents) or 'no agents'}; it records {recorded}"
            )
        whole = np.asarray(known.all(axis=1))
        if whole.sum() >= WHOLE * known.any(axis=1).sum():
            return quality, np.repeat(whole[:, np.newaxis], len(agents), axis=1)
        tasks = dict(zip(agents, known.sum(axis=0).tolist(), strict=True))
        if few := [name for name, count in tasks.items() if count < LEAST]:
            counts = ", ".join(f"{name} {count:,}" for name, count in tasks.items())
            raise UnlearnableError(
                f"{corpus.name}: the quality of {few[0]} is recorded on {tasks[few[0]]} tasks, too "
                f"few to learn from; {LEAST} or more are needed of each agent (recorded: {counts})"
            )
        return quality, known

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted predictor in skops's format, which is read without pickle.

        Raises
        ------
        PolicyError
            If it is not fitted, or holds what skops cannot write.
        """
        import skops.io

        if self._fitted is None:
            raise PolicyError(f"{self!r}: call fit(corpus, agents) before save")
        content = {
            "format": _FORMAT,
            "estimator": self._fitted,
            "categories": self.categories,
            "agents": list(self.agents),
            "fitted_on": msgspec.to_builtins(self.fitted_on),
        }
        try:
            with written(path, PolicyError) as file:
                skops.io.dump(content, file, compression=zipfile.ZIP_DEFLATED)
        except (TypeError, NotImplementedError, AttributeError) as error:
            raise PolicyError(f"{path}: {self!r} cannot be saved: {error}") from error

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, trusted: Sequence[str] = ()) -> Self:
        """Read a predictor that :meth:`save` wrote; a file with unknown types is refused.

        Parameters
        ----------
        path : path
        trusted : sequence of str
            Further types to accept besides :data:`TRUSTED` and those of numpy, scipy and
            scikit-learn, as ``"my_package.MyTransformer"``. Their code is run: name only
            code that you know.

        Raises
        ------
        PolicyError
            If the file is not a saved predictor, or holds a type that is not trusted.
        """
        import skops.io

        path = Path(path)
        allowed = [*TRUSTED, *trusted]
        try:
            unknown = sorted(set(skops.io.get_untrusted_types(file=path)) - set(allowed))
            if unknown:
                raise PolicyError(
                    f"{path}: holds {', '.join(unknown)}, which could run any code; if you know "
                    "where the file is from, load it with trusted=[…] naming them"
                )
            content = skops.io.load(path, trusted=allowed)
        except (OSError, zipfile.BadZipFile, KeyError, json.JSONDecodeError) as error:
            raise PolicyError(f"{path}: not a saved predictor ({error})") from error
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise PolicyError(f"{path}: not a predictor saved in format {_FORMAT}")
        fitted = content["estimator"]
        one = fitted[0] if isinstance(fitted, list) else fitted
        predictor = cls(one, categories=content["categories"])
        predictor._fitted = fitted
        predictor.agents = tuple(content["agents"])
        predictor.fitted_on = msgspec.convert(content["fitted_on"], FittedTexts)
        return predictor

    def _fit_known(
        self,
        estimator: Any,
        inputs: Any,
        quality: NDArray[np.float64],
        known: NDArray[np.bool_],
        names: Sequence[str],
        corpus: str,
    ) -> Any:
        """A fit for all agents where they are known on the same tasks, else a list of fits."""
        if (known == known[:, :1]).all():
            rows = np.flatnonzero(known[:, 0])
            return self._fit(estimator, _rows(inputs, rows), quality[rows], names, corpus)
        fits = []
        for a, name in enumerate(names):
            rows = np.flatnonzero(known[:, a])
            if not rows.size:
                raise PolicyError(
                    f"{corpus}: all tasks that record the quality of {name} have texts that are "
                    "alike, and cannot be predicted from each other; give cross_fitted=false, or a "
                    "log with more texts"
                )
            mine = quality[rows, a : a + 1]
            fits.append(self._fit(estimator, _rows(inputs, rows), mine, [name], corpus))
        return fits

    def _fit(
        self,
        estimator: Any,
        inputs: Any,
        quality: NDArray[np.float64],
        names: Sequence[str],
        corpus: str,
    ) -> Any:
        """A fitted clone of the estimator, one for all agents."""
        from sklearn.base import clone, is_classifier
        from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
        from sklearn.utils import get_tags

        model: Any = clone(estimator)
        target: NDArray[Any] = quality
        if is_classifier(model):
            target = (quality >= RIGHT).astype(np.int64)
            for name, right in zip(names, target.T, strict=True):
                if right.min() == right.max():
                    said = "right" if right[0] else "wrong"
                    raise PolicyError(
                        f"{corpus}: {name} is {said} on all {len(right):,} tasks that a "
                        "classifier would learn from; use a regressor, or more tasks"
                    )
            # Features that a pipeline makes are made once for all agents.
            model = _per_agent(model, MultiOutputClassifier)
        elif not get_tags(model).target_tags.multi_output:
            model = _per_agent(model, MultiOutputRegressor)
        try:
            with threadpool_limits(1):  # with small products, more threads are slower
                return model.fit(inputs, target)
        except ValueError as error:
            raise PolicyError(
                f"{self!r} cannot be fitted on {len(quality):,} tasks of {corpus}: {error}"
            ) from error

    def _shape(self, tasks: pd.DataFrame) -> Any:
        columns = tasks[["text", "category"]]
        return columns.astype(object) if self.categories else columns["text"].tolist()


def _apply(fitted: Any, inputs: Any, size: int, agents: int) -> NDArray[np.float64]:
    if not size:
        return np.empty((0, agents))
    if isinstance(fitted, list):
        return np.hstack([_apply(each, inputs, size, 1) for each in fitted])
    with threadpool_limits(1):
        if hasattr(fitted, "predict_proba"):
            chances = fitted.predict_proba(inputs)
            return np.column_stack([chance[:, 1] for chance in chances])
        return np.asarray(fitted.predict(inputs), dtype=np.float64).reshape(size, agents)


def _run_first_steps(inputs: Any, estimator: Any) -> tuple[Any, Any]:
    """The inputs after the first steps that need no fit, and the steps that are left."""
    from sklearn.pipeline import Pipeline
    from sklearn.utils import get_tags

    while isinstance(estimator, Pipeline) and len(estimator.steps) > 1:
        if get_tags(estimator[0]).requires_fit:
            break
        inputs, estimator = estimator[0].transform(inputs), estimator[1:]
    return inputs, estimator


def _rows(inputs: Any, rows: NDArray[np.intp]) -> Any:
    """These rows of a list, a DataFrame or an array, sparse or not."""
    if isinstance(inputs, list):
        return [inputs[row] for row in rows.tolist()]
    return inputs.iloc[rows] if isinstance(inputs, pd.DataFrame) else inputs[rows]


def _per_agent(model: Any, wrap: Callable[[Any], Any]) -> Any:
    """The model with its last step fitted once an agent."""
    from sklearn.pipeline import Pipeline

    if isinstance(model, wrap):  # type: ignore[arg-type]
        return model
    if isinstance(model, Pipeline):
        name, last = model.steps[-1]
        return Pipeline([*model.steps[:-1], (name, _per_agent(last, wrap))])
    return wrap(model)
