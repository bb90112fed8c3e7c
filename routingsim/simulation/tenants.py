"""Tenants, which share the agents, and the priorities of their tasks."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from routingsim import rng
from routingsim.agents import AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.errors import SimulationError, did_you_mean, wrong_type
from routingsim.simulation.arrivals.checks import is_finite, is_whole
from routingsim.simulation.state import Workload
from routingsim.synonyms import argument_hints

HIGHEST_PRIORITY = 255
_WRITTEN = "NAME or NAME:weight=2,priority=1,share=0.3"


@argument_hints
@dataclass(frozen=True)
class Tenant:
    """What the corpus does not say of a tenant: weight, priority or share of the tasks.

    Parameters
    ----------
    name : str
        Its name in the corpus's column ``tenant``.
    weight : float
        Its share of the service at agents with ``discipline = "fair"``, against the weights of
        the others whose tasks wait. 1 for tenants that are not given.
    priority : int, optional
        The priority of its tasks, 0 to 255, lower is more urgent, where the corpus records
        none; by default 0.
    share : float, optional
        Share of the tasks that are its, of those whose tenant the corpus does not record: each
        is drawn. The shares of all tenants sum to 1.

    Raises
    ------
    SimulationError
        If a number is out of its range.
    """

    name: str
    weight: float = 1.0
    priority: int | None = None
    share: float | None = None

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and self.name):
            raise SimulationError(f"Tenant: name={self.name!r}; a name is needed")
        if not (is_finite(self.weight) and 1e-9 <= self.weight <= 1e9):
            raise SimulationError(
                f"tenant {self.name}: weight={self.weight!r}; a number above 0 is needed, from "
                "1e-9 to 1e9"
            )
        if self.priority is not None and not (
            is_whole(self.priority) and 0 <= self.priority <= HIGHEST_PRIORITY
        ):
            raise SimulationError(
                f"tenant {self.name}: priority={self.priority!r}; a whole number from 0 (most "
                f"urgent) to {HIGHEST_PRIORITY} is needed"
            )
        if self.share is not None and not (is_finite(self.share) and 0 < self.share <= 1):
            raise SimulationError(
                f"tenant {self.name}: share={self.share!r}; a share in (0, 1] is needed"
            )

    @classmethod
    def parse(cls, text: str) -> "Tenant":
        """Read ``NAME:weight=2,priority=1,share=0.3``, of which only the name is needed."""
        name, _, rest = text.partition(":")
        given: dict[str, Any] = {}
        for part in filter(None, rest.split(",")):
            key, _, value = (each.strip() for each in part.partition("="))
            allowed = [field.name for field in fields(cls)][1:]
            if key not in allowed:
                hint = did_you_mean(key, allowed)
                raise SimulationError(
                    f"tenant {text!r}: {key!r} is none of {', '.join(allowed)}{hint}; write "
                    f"{_WRITTEN}"
                )
            try:
                given[key] = int(value) if key == "priority" else float(value)
            except ValueError:
                raise SimulationError(
                    f"tenant {text!r}: {key}={value!r} is no number; write {_WRITTEN}"
                ) from None
        return cls(name, **given)

    def __repr__(self) -> str:
        named = [(f.name, getattr(self, f.name), f.default) for f in fields(self)[1:]]
        said = [f"{name}={value!r}" for name, value, plain in named if value != plain]
        return f"Tenant({', '.join([repr(self.name), *said])})"


def as_tenants(given: "str | Tenant | Iterable[str | Tenant]") -> tuple[Tenant, ...]:
    """Tenants, each given as such or in text.

    Raises
    ------
    SimulationError
        If one is neither, a name occurs twice, or the shares do not sum to 1.
    """
    single = isinstance(given, str | Tenant) or not isinstance(given, Iterable)
    each: Any = (given,) if single else given
    found = []
    for one in each:
        if not isinstance(one, str | Tenant):
            hint = "write rs.Tenant('acme', weight=2)"
            raise SimulationError(wrong_type("tenants", one, hint))
        found.append(Tenant.parse(one) if isinstance(one, str) else one)
    names = [tenant.name for tenant in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SimulationError(f"tenants: {twice[0]!r} occurs twice; give each tenant once")
    shares = [tenant.share for tenant in found if tenant.share is not None]
    if shares and abs(sum(shares) - 1.0) > 1e-9:
        raise SimulationError(f"tenants: their shares sum to {sum(shares):g}; 1 is needed")
    return tuple(found)


@dataclass(frozen=True, eq=False)
class Classes:
    """Tenants and priorities of the records of a corpus.

    Attributes
    ----------
    names : tuple of str
        Of the tenants, in the order of their codes; "" stands for tasks without a tenant.
        Empty if there are none.
    weight, drawn : ndarray, shape (tenants,)
        The weights, and the shares of tasks without a tenant.
    tenant, priority : ndarray, shape (records,)
        The code of each record's tenant, -1 where it is drawn, and its priority, NaN where none
        is recorded.
    own : ndarray, shape (tenants,)
        The priority of a tenant's tasks where none is recorded.
    """

    names: tuple[str, ...]
    weight: NDArray[np.float64]
    drawn: NDArray[np.float64]
    tenant: NDArray[np.int32]
    priority: NDArray[np.float64]
    own: NDArray[np.float64]

    @cached_property
    def _plain(self) -> bool:
        none = not self.own.any() and not np.nan_to_num(self.priority).any()
        return none and len(self.names) < 2

    def of(self, work: Workload, seed: int, first: int = 0) -> Workload:
        """The workload with the tenants and priorities of its tasks, numbered from ``first`` on."""
        if self._plain:
            return work
        tenant = self.tenant[work.row]
        if self.drawn.any():
            key = np.uint64(rng.stream(seed, rng.TENANT))
            bounds = np.cumsum(self.drawn)[:-1]
            by_draw = np.searchsorted(bounds, rng.uniforms(key, tenant.size, first), side="right")
            tenant = np.where(tenant < 0, by_draw, tenant)
        recorded = self.priority[work.row]
        priority = np.where(np.isnan(recorded), self.own[tenant], recorded)
        return work._replace(
            priority=priority.astype(np.int16) if priority.any() else work.priority,
            tenant=tenant.astype(np.int32) if len(self.names) > 1 else work.tenant,
            weight=self.weight,
        )

    def of_block(self, corpus: Corpus) -> "Classes":
        """The same tenants, with the records of a part of the corpus."""
        code = {name: k for k, name in enumerate(self.names or ("",))}
        tenant = _codes(corpus.tasks.get("tenant"), code, len(corpus))
        return replace(self, tenant=tenant, priority=_priorities(corpus))


def classes(
    corpus: Corpus | None, tenants: Sequence[Tenant], known: Collection[str] | None = None
) -> Classes:
    """What a corpus records of its tasks' tenants and priorities, and what is given of tenants.

    Of a part of a corpus, ``known`` are the tenants of the whole, "" for tasks without one.

    Raises
    ------
    SimulationError
        If a tenant has no task, or shares are given where every task has a tenant.
    """
    size = 1 if corpus is None else len(corpus)
    tasks = None if corpus is None else corpus.tasks
    recorded: Any = tasks["tenant"] if tasks is not None and "tenant" in tasks else None
    shared = any(tenant.share is not None for tenant in tenants)
    its = {""} if recorded is None else set(recorded.unique().tolist())
    known = its if known is None else set(known)
    if shared and "" not in known:
        raise SimulationError(
            "tenants: every task of the corpus has a tenant, so shares would bind no task; leave "
            "them out"
        )
    for tenant in tenants:
        if tenant.share is None and tenant.name not in known:
            names = sorted(known - {""})
            there = f"there are {', '.join(names[:12])}" if names else "it records no tenant"
            raise SimulationError(
                f"tenant {tenant.name!r}: no task of the corpus is of it ({there}); give its share "
                f"of the tasks, or correct the name{did_you_mean(tenant.name, names)}"
            )
    names = sorted((known - {""} if shared else known) | {tenant.name for tenant in tenants})
    code = {name: k for k, name in enumerate(names)}
    by_name = {tenant.name: tenant for tenant in tenants}
    given = [by_name.get(name, Tenant(name or "none")) for name in names]
    return Classes(
        names=tuple(names) if names != [""] else (),
        weight=np.array([float(tenant.weight) for tenant in given]),
        drawn=np.array([float(tenant.share or 0.0) for tenant in given]),
        tenant=_codes(recorded, code, size),
        priority=np.full(size, np.nan) if corpus is None else _priorities(corpus),
        own=np.array([float(tenant.priority or 0) for tenant in given]),
    )


def _priorities(corpus: Corpus) -> NDArray[np.float64]:
    """The priority of each record, NaN where none is recorded."""
    if "priority" not in corpus.tasks:
        return np.full(len(corpus), np.nan)
    return corpus.tasks["priority"].to_numpy(np.float64)


def _codes(recorded: pd.Series | None, code: Mapping[str, int], size: int) -> NDArray[np.int32]:
    """The code of each record's tenant; -1 where it is drawn."""
    if recorded is None:
        return np.full(size, code.get("", -1), np.int32)
    places, names = pd.factorize(recorded)
    return np.array([code.get(name, -1) for name in names], np.int32)[places]


def without_effect(pool: AgentPool, known: Classes) -> list[str]:
    """Tenants, priorities and disciplines that are given and have no effect."""
    orders = {agent.discipline for agent in pool}
    some = bool(known.own.any() or np.nan_to_num(known.priority).any())
    said = []
    if "fair" in orders and len(known.names) < 2:
        said.append("discipline fair: all tasks are of one tenant, so queues are first come")
    if "priority" in orders and not some:
        said.append("discipline priority: all tasks have one priority, so queues are first come")
    if some and "priority" not in orders:
        said.append("tasks have priorities, and no agent's queue goes by them: discipline is not "
                    "priority")  # fmt: skip
    if "fair" not in orders and (known.weight != 1.0).any():
        said.append("tenants have weights, and no agent's queue goes by them: discipline is not "
                    "fair")  # fmt: skip
    return said


def jain(shares: NDArray[np.float64]) -> float:
    """Jain's index of fairness: (Σ x)² / (n Σ x²), 1 where all are alike, 1 / n where one has all.

    Source: Jain, Chiu & Hawe, "A quantitative measure of fairness and discrimination for
    resource allocation in shared computer systems", DEC TR-301, 1984.

    Parameters
    ----------
    shares : ndarray of float, shape (n,)
        What each has got, at least 0.
    """
    squares = float((shares**2).sum()) * shares.size
    return float(shares.sum()) ** 2 / squares if squares else float("nan")
