"""The plan of a sweep: what is run, what is varied, and which cells that makes."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from importlib.metadata import version
from typing import Any

import msgspec
from pandas.core.util.hashing import hash_pandas_object

from routingsim import rng
from routingsim.agents import Agent, AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.errors import SimulationError, did_you_mean
from routingsim.evaluation.cell import METRICS
from routingsim.evaluation.fingerprint import fingerprint
from routingsim.evaluation.sweeps.conditions import OF_CONDITIONS, check_retries, conditions_of
from routingsim.evaluation.sweeps.design import Axis
from routingsim.policies import grammar
from routingsim.policies.kernel import Kernel
from routingsim.policies.policy import Policy, make_policy, recipes
from routingsim.simulation.arrivals import Arrivals, as_arrivals
from routingsim.simulation.arrivals.checks import is_finite, is_whole
from routingsim.simulation.changes import Change
from routingsim.simulation.faults import Hedge, Outage, Retries
from routingsim.simulation.replications import replication_seeds
from routingsim.simulation.tenants import Tenant
from routingsim.synonyms import meant

PLAIN = ("policy", "arrivals", "load", "rate", "seed", "tasks", *OF_CONDITIONS)
"""What can be varied beside ``policy.PARAMETER``, ``pool.AGENT.FIELD`` and ``retries.FIELD``."""


@dataclass(frozen=True, eq=False)
class Fixed:
    """What all cells of a sweep share unless it is varied; parameters as of ``sweep()``."""

    corpus: Corpus
    pool: AgentPool
    policy: Any
    arrivals: str | Arrivals | None
    load: float | None
    rate: float | None
    tasks: int | None
    seed: int
    replications: int
    objective: float
    first_token_objective: float | None
    right: float
    retries: Retries
    outages: tuple[Outage, ...]
    changes: tuple[Change, ...]
    signal_delay: float
    routers: int
    hedge: Hedge | str | None
    tenants: tuple[Tenant, ...]
    discipline: str | None
    service: str | None
    common: bool

    def conditions(self, setting: Mapping[str, Any]) -> dict[str, Any]:
        """The conditions of a run, with those that a setting varies."""
        as_given = {name: getattr(self, name) for name in OF_CONDITIONS}
        return conditions_of(self.retries, {**as_given, **setting})

    @cached_property
    def digest(self) -> str:
        """A digest of all fields, of the version and of the metrics."""
        parts = []
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, Corpus):
                value = corpus_digest(value)
            elif each.name in ("policy", "arrivals"):
                value = identity(value)
            parts.append((each.name, value.agents if isinstance(value, AgentPool) else value))
        return _sha256((version("routingsim"), tuple(METRICS), parts))


@dataclass(frozen=True, eq=False)
class Plan:
    """A sweep before it is run.

    Attributes
    ----------
    fixed : Fixed
    axes : tuple of Axis
    settings : list of dict
        The value of each axis, a cell each.
    design : str
    points : int, optional
        As given to ``sweep()``.
    """

    fixed: Fixed
    axes: tuple[Axis, ...]
    settings: list[dict[str, Any]]
    design: str = "grid"
    points: int | None = None

    @cached_property
    def keys(self) -> list[str]:
        """A digest of everything that determines a cell, of each of them."""
        known: dict[int, str] = {}  # of functions and policies, which occur in many cells

        def named(value: Any) -> Any:
            if not callable(value) and not isinstance(value, Policy | Arrivals):
                return value
            return known.setdefault(id(value), identity(value))

        digest = self.fixed.digest
        return [
            _sha256((digest, sorted((name, named(value)) for name, value in each.items())))
            for each in self.settings
        ]

    @cached_property
    def digest(self) -> str:
        """A digest of the whole plan."""
        return _sha256((self.fixed.digest, [each.name for each in self.axes], sorted(self.keys)))


def _sha256(value: Any) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()


def corpus_digest(corpus: Corpus) -> str:
    """A digest of every value of a corpus, whatever file it came from."""
    frame = corpus.to_frame()
    digest = hashlib.sha256(repr((corpus.agents, corpus.categories, list(frame))).encode())
    digest.update(hash_pandas_object(frame).to_numpy().tobytes())
    return digest.hexdigest()


def identity(value: Any) -> str:
    """What a policy or arrival process is: its name, and a digest of what the name leaves out."""
    if isinstance(value, Policy):
        read = (value.choose, value.learn, value.featurize, value.predict, value.memory)
        return f"{value.name} {value.interpreted} {value.judge} {fingerprint(*read)}"
    if isinstance(value, str):
        recipe = recipes().get(value.partition(":")[0])
        module = getattr(recipe.make, "__module__", "") if recipe else "routingsim"
        own = module.partition(".")[0] == "routingsim"
        return value if own or recipe is None else f"{value} {fingerprint(recipe.make)}"
    if isinstance(value, Arrivals):
        return f"{value} {fingerprint(value)}"
    return "" if value is None else f"{shown(value)} {fingerprint(value)}"


def shown(value: Any) -> Any:
    """A value as tables and files show it: a number, or a name."""
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Tenant):
        return repr(value)
    if isinstance(value, Sequence):
        return "/".join(map(grammar.written, map(shown, value)))
    return str(getattr(value, "name", None) or getattr(value, "__name__", None) or value)


def setting_of(fixed: Fixed, setting: Mapping[str, Any]) -> dict[str, Any]:
    """Pool, policy and the plain parameters of one cell.

    Raises
    ------
    AgentError, PolicyError
        If a field or parameter is out of its range.
    """
    agents = {agent.id: agent for agent in fixed.pool}
    parameters: dict[str, Any] = {}
    found = {name: setting.get(name, getattr(fixed, name)) for name in PLAIN}
    if "load" in setting or "rate" in setting:
        found |= {name: setting.get(name) for name in ("load", "rate")}
    for name, value in setting.items():
        if name.startswith("policy."):
            parameters[name.removeprefix("policy.")] = value
        elif name.startswith("pool."):
            agent, _, field = name.removeprefix("pool.").rpartition(".")
            for each in list(agents) if agent == "*" else [agent]:
                agents[each] = msgspec.structs.replace(agents[each], **{field: value})
    varied = any(name.startswith("pool.") for name in setting)
    pool = AgentPool(tuple(agents.values())) if varied else fixed.pool
    policy = with_parameters(found["policy"], parameters) if parameters else found["policy"]
    return {**found, "pool": pool, "policy": make_policy(pool, policy, fixed.corpus)}


def with_parameters(policy: str, parameters: Mapping[str, Any]) -> str:
    """A policy's name with parameters, those that it has already replaced.

    >>> with_parameters("threshold:calibrated,low=0.2", {"low": 0.3})
    'threshold:calibrated,low=0.3'
    """
    name, _, rest = policy.partition(":")
    kept = [part for part in rest.split(",") if part and part.partition("=")[0] not in parameters]
    given = [f"{key}={grammar.written(value)}" for key, value in parameters.items()]
    return f"{name}:{','.join([*kept, *given])}"


def seeds_of(fixed: Fixed, setting: Mapping[str, Any], key: str) -> tuple[int, ...]:
    """The seed of each replication: of the root seed, and of the cell unless it is common."""
    root = int(setting.get("seed", fixed.seed))
    if not fixed.common:
        root = int(rng.bits(rng.stream(root, rng.REPLICATION), int(key[:12], 16), 0)) >> 16
    return replication_seeds(root, fixed.replications)


def check_axes(fixed: Fixed, axes: Sequence[Axis]) -> None:
    """Refuse what cannot be varied.

    Raises
    ------
    SimulationError, AgentError, PolicyError
        Which names it, and says what is allowed.
    """
    names = {each.name: each for each in axes}
    if {"load", "rate"} <= set(names):
        raise SimulationError("vary: load and rate; leave one of them out")
    policies = names["policy"].values if "policy" in names else (fixed.policy,)
    for name in names:
        where, _, rest = name.partition(".")
        if where == "policy" and rest:
            for policy in policies:
                _check_parameter(policy, rest)
        elif where == "pool" and rest:
            agent, _, field = rest.rpartition(".")
            if agent != "*":
                fixed.pool.index(agent or rest)
            allowed = [each for each in Agent.__struct_fields__ if each != "id"]
            if field not in allowed:
                raise SimulationError(
                    f"vary {name}: an agent has no field {field!r}; it has {', '.join(allowed)}"
                    f"{meant(field, allowed)}"
                )
        elif where == "retries" and rest:
            check_retries(name)
        elif name not in PLAIN:
            allowed = [*PLAIN, "policy.PARAMETER", "pool.AGENT.FIELD", "pool.*.FIELD"]
            allowed.append("retries.FIELD")
            raise SimulationError(
                f"vary {name}: there is no such thing; there are {', '.join(allowed)}"
                f"{did_you_mean(name, PLAIN)}"
            )
    for each in axes:
        _check_numbers(each)
    for value in names["arrivals"].values if "arrivals" in names else ():
        as_arrivals(value)
    for name in (each for each in names if each in OF_CONDITIONS or each.startswith("retries.")):
        for value in names[name].values:
            fixed.conditions({name: value})
    for value in policies:
        if isinstance(value, str) and value.partition(":")[0] not in recipes():
            make_policy(fixed.pool, value, fixed.corpus)  # raises what names those there are


def _check_numbers(each: Axis) -> None:
    """Refuse a load, a rate or a number of tasks that no cell could have, and what is no seed."""
    if each.name not in ("load", "rate", "tasks", "seed"):
        return
    whole = each.name in ("tasks", "seed")
    for value in each.values or (int(each.low) if each.whole else each.low,):
        number = is_whole(value) if whole else is_finite(value)
        if not number or (each.name != "seed" and value <= 0):
            needed = "a whole number" if whole else "a number"
            needed += " above 0" * (each.name != "seed")
            raise SimulationError(f"vary {each.name}: found {value!r:.60}, {needed} is needed")


def _check_parameter(policy: Any, parameter: str) -> None:
    if not isinstance(policy, str) or isinstance(policy, Kernel):
        raise SimulationError(
            f"vary policy.{parameter}: {shown(policy)} is no name of a policy, whose parameters "
            "could be varied"
        )
    name = policy.partition(":")[0]
    known = recipes().get(name)
    if known is not None:
        grammar.check_parameters(
            name, {parameter: known.parameters.get(parameter)}, known.parameters
        )
