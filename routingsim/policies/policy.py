"""What a policy is, and how a name becomes one.

A :class:`Policy` is made for a pool (and, where it is fitted, a corpus) by a
*recipe*: a function ``recipe(pool, corpus=None, **parameters) -> Policy``
registered under a name. ``"threshold:calibrated"`` or
``"static:gpt-4"`` on the command line, and ``policy="threshold"`` in Python,
both go through :func:`make_policy`.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial, wraps
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ParamSpec

import numpy as np
from numpy.typing import NDArray

from routingsim import display
from routingsim.agents import Agent, AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.equality import ByValue
from routingsim.errors import PolicyError, did_you_mean, type_of
from routingsim.policies import grammar
from routingsim.policies.fitted import FittedTexts
from routingsim.policies.kernel import Kernel, choose_kernel, no_learning, unknown
from routingsim.synonyms import argument_hints

_ROWS = 40  # parameters that a notebook shows
_KERNELS = {
    "choose": "choose_kernel",
    "learn": "learn_kernel",
    "probabilities": "probability_kernel",
}

Parameters = ParamSpec("Parameters")
TextTable = Callable[[Sequence[str], Sequence[str]], NDArray[np.float64]]
"""From texts and their categories to numbers, a row a text."""


def sentence(form: str) -> Callable[[Agent, float, float], str]:
    """A policy's ``reason`` from a format string: it may name agent, d_var and load.

    Unlike a function defined in a recipe, it can be pickled.
    """
    return partial(_format, form)


def _format(form: str, agent: Agent, d_var: float, load: float) -> str:
    return form.format(agent=agent, d_var=d_var, load=load)


_ROUTED = sentence("Routed to {agent.name}")


@dataclass(frozen=True)
class Judge:
    """Judges every answer of a cascade, except those of the last level.

    Parameters
    ----------
    levels : int
        Tries that a task may have.
    bar : float
        The least quality that is good enough, 0 to 1.
    error : float
        Share of verdicts that are wrong, either way, in [0, 1).
    seconds, cost : float
        Time of a verdict, spent in the agent's slot (s), and its price (USD).

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


@argument_hints
@dataclass(frozen=True, eq=False)
class Policy(ByValue):
    """Decides which agent gets a task: two kernels, and the memory they start with.

    A policy can be copied and pickled if its kernels are defined at the top level of a
    module, and its callables are.

    Parameters
    ----------
    name : str
        As a user would write it, parameters included: ``"static:gpt-4"``.
    choose, learn : Kernel
        See :mod:`routingsim.policies.kernel`.
    memory : ndarray of float64
        What ``memory`` holds when a run begins. Every run works on a copy.
    reason : callable
        ``reason(agent, d_var, load) -> str``: why a task went to the agent, as decisions
        say it.
    featurize : callable, optional
        ``featurize(texts, categories) -> (tasks, k)`` float64: what ``task.features`` holds.
    predict : callable, optional
        ``predict(texts, categories) -> (tasks, agents)`` float64: what
        ``task.predicted`` holds.
    interpreted : bool
        Run ``choose`` and ``learn`` as plain Python, not compiled.
    judge : Judge, optional
        Makes the policy a cascade: an answer that is not good enough sends the task on,
        and the next choice sees ``task.attempt`` one higher.
    fitted_on : tuple of FittedTexts
        The texts that its parameters were fitted on: figures on these are in-sample
        (:func:`routingsim.policies.fitted.in_sample`).
    parameters : mapping
        Shown to the reader; the policy does not use them.
    probabilities : Kernel
        With which probability ``choose`` returns each agent, for the propensities of a live
        router: :data:`~routingsim.policies.kernel.certain` where it draws nothing at
        random, or a :func:`~routingsim.policies.kernel.probability_kernel`. Not known by
        default.
    replay_only : bool
        Whether it knows the tasks of one corpus only, so that no live router can use it.
    notes : tuple of str
        What the reader of its results should know.

    Raises
    ------
    PolicyError
        If ``choose``, ``learn`` or ``probabilities`` is not a kernel.
    """

    name: str
    choose: Kernel
    learn: Kernel = no_learning
    memory: NDArray[np.float64] = field(default_factory=lambda: np.zeros(1))
    reason: Callable[[Agent, float, float], str] = _ROUTED
    featurize: TextTable | None = None
    predict: TextTable | None = None
    interpreted: bool = False
    judge: Judge | None = None
    fitted_on: tuple[FittedTexts, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    probabilities: Kernel = unknown
    replay_only: bool = False
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for role, made_by in _KERNELS.items():
            found = getattr(self, role)
            if not isinstance(found, Kernel):
                raise PolicyError(
                    f"Policy({self.name!r}): {role} is {found!r:.60}, not a kernel; decorate "
                    f"the function with @{made_by}"
                )

    @property
    def learns(self) -> bool:
        """Whether it is to be told how tasks went."""
        return self.learn is not no_learning

    def __repr__(self) -> str:
        return f"Policy({self.name!r})"

    def _repr_html_(self) -> str:
        rows = [
            (key, display.parameter(value)) for key, value in list(self.parameters.items())[:_ROWS]
        ]
        rows.append(("learns", "while it runs" if self.learns else "no"))
        rows += [("fitted on", each.sha256[:12]) for each in self.fitted_on[:_ROWS]]
        return display.card(self.name, display.table([], rows), self.notes)


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


def recipe(name: str) -> Callable[[Callable[Parameters, Policy]], Callable[Parameters, Policy]]:
    """Register a function as the recipe ``name`` (a decorator).

    Called, it first checks the names and types of its arguments, and raises a PolicyError
    where they are wrong.
    """

    def register(make: Callable[Parameters, Policy]) -> Callable[Parameters, Policy]:
        checked = _checked(name, make)
        _RECIPES[name] = Recipe(name, checked)
        return checked

    return register


def _checked(name: str, make: Callable[Parameters, Policy]) -> Callable[Parameters, Policy]:
    """The recipe, with clear errors for arguments of wrong names and types."""
    defaults = Recipe(name, make).parameters

    @wraps(make)
    def checked(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Policy:
        given = {**dict(zip(("pool", "corpus"), args, strict=False)), **kwargs}
        check_pool(name, "a pool and, optionally, a corpus", given.pop("pool", None))
        if not isinstance(corpus := given.pop("corpus", None), Corpus | None):
            raise PolicyError(f"{name}: corpus is {type_of(corpus)}, not a Corpus")
        grammar.check_parameters(name, given, defaults)
        return make(*args, **kwargs)

    return checked


def check_pool(function: str, takes: str, pool: object) -> None:
    """Refuse arguments in another order than a function ``takes`` them, the pool first."""
    if not isinstance(pool, AgentPool):
        raise PolicyError(
            f"{function} takes {takes}, in this order; its pool is {type_of(pool)}, not "
            "an AgentPool"
        )


def own_parameters(named: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's own parameters: its ``locals()`` at its beginning, but for pool and corpus."""
    return {key: value for key, value in named.items() if key not in ("pool", "corpus")}


def spelled(name: str, given: Mapping[str, Any], *, bare: str = "") -> str:
    """A recipe's name with the parameters that differ from their defaults.

    See :func:`routingsim.policies.grammar.spelled`.
    """
    return grammar.spelled(name, given, _RECIPES[name].parameters, bare=bare)


def recipes() -> dict[str, Recipe]:
    """All recipes by name: the built-in ones, your own, and those of installed plug-ins.

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
    """A plug-in's recipe; if it cannot be loaded, one that says so when it is used or listed."""
    try:
        return _checked(point.name, point.load())
    except Exception as error:  # any, since the other policies must keep working
        package = point.dist.name if point.dist else "a plug-in"
        said = f"cannot be loaded from {package} ({point.value}): {error}"

    def broken(pool: AgentPool, corpus: Corpus | None = None) -> Policy:
        raise PolicyError(f"policy {point.name!r} {said}; fix or uninstall that package")

    broken.__doc__ = f"({said})"
    return broken


@argument_hints
def make_policy(
    pool: AgentPool,
    policy: "str | Policy | Kernel | Callable[..., int]",
    corpus: Corpus | None = None,
) -> Policy:
    """Make a policy for ``pool`` from what a user wrote.

    Parameters
    ----------
    pool : AgentPool
        The agents it chooses among.
    policy
        A name with parameters, ``NAME[:WORD or KEY=VALUE, …]`` such as
        ``"threshold"``, ``"threshold:calibrated"``, ``"static:gpt-4"`` or
        ``"threshold:low=0.2,medium=0.4"``; or a :class:`Policy`; or a choose
        kernel; or a plain function ``(task, pool, memory) -> index``, which is
        then run interpreted.
    corpus : Corpus, optional
        What fitted policies are fitted on.

    Raises
    ------
    PolicyError
        If there is no such policy or parameter, or it cannot serve this pool.
    AgentError
        If it names an agent that is not in the pool.
    """
    check_pool("make_policy", "a pool, a policy and, optionally, a corpus", pool)
    if isinstance(policy, Policy):
        return policy
    if isinstance(policy, Kernel):
        return Policy(policy.name, policy)
    if callable(policy) and not isinstance(policy, type):
        name = getattr(policy, "__name__", "policy")
        if not _takes_three(policy):
            raise PolicyError(
                f"policy {name} is called with (task, pool, memory), and takes "
                f"{inspect.signature(policy)}: give it all three, whether it uses them or not"
            )
        return Policy(name, choose_kernel(policy), interpreted=True)
    if not isinstance(policy, str):
        raise PolicyError(
            f"{policy!r:.80} is {type_of(policy)}, not a policy: give a name such as "
            "'threshold' or 'static:gpt-4', a Policy, a kernel, or a function of task, pool and "
            "memory"
        )
    known, (name, _, rest) = recipes(), policy.partition(":")
    if name not in known:
        hint = did_you_mean(name, known)
        raise PolicyError(f"no policy {name!r}: there are {', '.join(sorted(known))}{hint}")
    chosen = known[name]
    return chosen.make(pool, corpus, **grammar.parse(rest, chosen.parameters))


def _takes_three(function: Callable[..., Any]) -> bool:
    """Whether it can be called with task, pool and memory; True if its signature is not known."""
    try:
        inspect.signature(function).bind(None, None, None)
    except ValueError:  # of some builtins there is no signature
        return True
    except TypeError:
        return False
    return True
