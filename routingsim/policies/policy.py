"""What a policy is, and how a name becomes one.

A :class:`Policy` is made for a pool (and, where it is fitted, a corpus) by a
*recipe*: a function ``recipe(pool, corpus=None, **parameters) -> Policy``
registered under a name. ``"threshold:calibrated"`` or
``"static:gpt-4"`` on the command line, and ``policy="threshold"`` in Python,
both go through :func:`make_policy`.
"""

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routingsim import display
from routingsim.agents import Agent, AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.errors import PolicyError
from routingsim.policies.kernel import Kernel, choose_kernel, no_learning

__all__ = ["Judge", "Policy", "Recipe", "make_policy", "own_parameters", "recipe", "recipes"]

_ROWS = 40  # parameters that a notebook shows

Memory = NDArray[np.float64]
TextTable = Callable[[Sequence[str], Sequence[str]], NDArray[np.float64]]


def _say_name(agent: Agent, d_var: float, load: float) -> str:
    return f"Routed to {agent.name}"


@dataclass(frozen=True)
class Judge:
    """Looks at every answer of a cascade but the last level's.

    Parameters
    ----------
    levels : int
        Tries a task may have.
    bar : float
        The least quality that is good enough, 0 to 1.
    error : float
        Share of verdicts that are wrong, either way, in [0, 1).
    seconds, cost : float
        Of a verdict: s, in the agent's slot, and USD.

    Raises
    ------
    PolicyError
        If a number is out of its range.
    """

    levels: int
    bar: float = 0.5
    error: float = 0.0
    seconds: float = 0.0
    cost: float = 0.0

    def __post_init__(self) -> None:
        right = self.levels >= 1 and 0 <= self.bar <= 1 and 0 <= self.error < 1
        if not (right and 0 <= self.seconds < np.inf and 0 <= self.cost < np.inf):
            raise PolicyError(
                f"{self}: levels >= 1, bar in [0, 1], error in [0, 1), seconds and cost >= 0 "
                "are needed"
            )


@dataclass(frozen=True)
class Policy:
    """Who gets the task: two kernels, the memory they start with, and words.

    Parameters
    ----------
    name : str
        As a user would write it, parameters included: ``"static:gpt-4"``.
    choose, learn : Kernel
        See :mod:`routingsim.policies.kernel`.
    memory : ndarray of float64
        What ``memory`` holds when a run begins. Every run works on a copy.
    reason : callable
        ``reason(agent, d_var, load) -> str``, the words in a decision.
    featurize : callable, optional
        ``featurize(texts, categories) -> (tasks, k)`` float64: what ``task.features`` holds.
    predict : callable, optional
        ``predict(texts, categories) -> (tasks, agents)`` float64: what
        ``task.predicted`` holds.
    interpreted : bool
        Run ``choose`` and ``learn`` as plain Python, not compiled.
    judge : Judge, optional
        Of a cascade: sends a task on after a wanting answer; the next choice sees
        ``task.attempt`` one higher.
    fitted_on : tuple of str
        Hashes of the corpora its parameters were fitted on, if any.
    parameters : mapping
        For the reader.
    """

    name: str
    choose: Kernel
    learn: Kernel = no_learning
    memory: Memory = field(default_factory=lambda: np.zeros(1))
    reason: Callable[[Agent, float, float], str] = _say_name
    featurize: TextTable | None = None
    predict: TextTable | None = None
    interpreted: bool = False
    judge: Judge | None = None
    fitted_on: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def learns(self) -> bool:
        """Whether it wants to be told how tasks went."""
        return self.learn is not no_learning

    def train(self, corpus: Corpus, pool: AgentPool, **options: Any) -> "Policy":
        """The policy with what it learns in the simulator; ``options`` as for `train`.

        See :func:`routingsim.simulation.training.train`, which stands a floor above and
        is looked up when asked for.
        """
        training = importlib.import_module("routingsim.simulation.training")
        return training.train(self, corpus, pool, **options)

    def __repr__(self) -> str:
        return f"Policy({self.name!r})"

    def _repr_html_(self) -> str:
        rows = [
            (key, display.parameter(value)) for key, value in list(self.parameters.items())[:_ROWS]
        ]
        rows.append(("learns", "while it runs" if self.learns else "no"))
        rows += [("fitted on", digest[:12]) for digest in self.fitted_on[:_ROWS]]
        return display.card(self.name, display.table([], rows))


@dataclass(frozen=True)
class Recipe:
    """A named way to make a policy."""

    name: str
    make: Callable[..., Policy]

    @property
    def summary(self) -> str:
        """What the policy does, in one line."""
        return (inspect.getdoc(self.make) or "").partition("\n")[0]

    @property
    def parameters(self) -> dict[str, Any]:
        """Its parameters and their defaults."""
        found = inspect.signature(self.make).parameters.values()
        return {p.name: p.default for p in found if p.kind is p.KEYWORD_ONLY}


_RECIPES: dict[str, Recipe] = {}


def recipe(name: str) -> Callable[[Callable[..., Policy]], Callable[..., Policy]]:
    """Register a function as the recipe ``name`` (a decorator)."""

    def register(make: Callable[..., Policy]) -> Callable[..., Policy]:
        _RECIPES[name] = Recipe(name, make)
        return make

    return register


def own_parameters(named: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's own parameters: its ``locals()`` at its beginning, but for pool and corpus."""
    return {key: value for key, value in named.items() if key not in ("pool", "corpus")}


def recipes() -> dict[str, Recipe]:
    """All recipes by name: those shipped, and those of installed plug-ins.

    A plug-in package names its recipes in the entry-point group
    ``routingsim.policies``: ``name = "package.module:function"``.
    """
    return {**_RECIPES, **_plugged_in()}


@cache
def _plugged_in() -> dict[str, Recipe]:
    return {
        point.name: Recipe(point.name, _loaded(point))
        for point in entry_points(group="routingsim.policies")
    }


def _loaded(point: EntryPoint) -> Callable[..., Policy]:
    """A plug-in's recipe; one that cannot be loaded says so when it is used or listed."""
    try:
        return point.load()
    except Exception as error:  # whatever a stranger's module does; the other policies work on
        package = point.dist.name if point.dist else "a plug-in"
        said = f"cannot be loaded from {package} ({point.value}): {error}"

    def broken(pool: AgentPool, corpus: Corpus | None = None) -> Policy:
        raise PolicyError(f"policy {point.name!r} {said}; mend or uninstall that package")

    broken.__doc__ = f"({said})"
    return broken


def make_policy(
    wanted: "str | Policy | Kernel | Callable[..., int]",
    pool: AgentPool,
    corpus: Corpus | None = None,
) -> Policy:
    """Make a policy for ``pool`` from what a user wrote.

    Parameters
    ----------
    wanted
        A name with parameters, ``NAME[:WORD or KEY=VALUE, …]`` such as
        ``"threshold"``, ``"threshold:calibrated"``, ``"static:gpt-4"`` or
        ``"threshold:low=0.2,medium=0.4"``; or a :class:`Policy`; or a choose
        kernel; or a plain function ``(task, pool, memory) -> index``, which is
        then run interpreted.
    pool : AgentPool
        The agents it chooses among.
    corpus : Corpus, optional
        What fitted policies are fitted on.

    Raises
    ------
    PolicyError
        If there is no such policy or parameter, or it cannot serve this pool.
    AgentError
        If it names an agent that is not in the pool.
    """
    if isinstance(wanted, Policy):
        return wanted
    if isinstance(wanted, Kernel):
        return Policy(wanted.python.__name__, wanted)
    if callable(wanted):
        return Policy(
            getattr(wanted, "__name__", "policy"), choose_kernel(wanted), interpreted=True
        )
    name, _, rest = wanted.partition(":")
    known = recipes()
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise PolicyError(f"no policy {name!r}: there are {', '.join(sorted(known))}{hint}")
    chosen = known[name]
    return chosen.make(pool, corpus, **_parameters(chosen, rest, wanted))


def _parameters(chosen: Recipe, text: str, wanted: str) -> dict[str, Any]:
    """Read ``WORD or KEY=VALUE, …`` after a policy's name."""
    allowed = chosen.parameters
    first = next(iter(allowed), None)
    has = ", ".join(f"{k}={v}" for k, v in allowed.items() if v is not None) or "no parameters"
    given: dict[str, Any] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals and allowed.get(key) is False:
            given[key] = True
        elif not equals and first is not None and isinstance(allowed[first], str):
            given[first] = key
        elif equals and key in allowed:
            given[key] = _value(value, allowed[key], wanted, key)
        else:
            raise PolicyError(
                f"policy {wanted!r}: {part!r} is not one of its parameters; {chosen.name} has {has}"
            )
    return given


def _value(text: str, default: Any, wanted: str, key: str) -> Any:
    """Read one parameter's value in the type of its default."""
    if isinstance(default, str) or default is None:
        return text
    try:
        if isinstance(default, bool):
            return {"true": True, "false": False}[text.lower()]
        return int(text) if isinstance(default, int) else float(text)
    except (KeyError, ValueError):
        kind = {bool: "true or false", int: "a whole number"}.get(type(default), "a number")
        raise PolicyError(f"policy {wanted!r}: {key} is {text!r}; {kind} is needed") from None
