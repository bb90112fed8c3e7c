"""Reads pools: by name, from TOML files, from tables and from Python values."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import msgspec
import pyarrow as pa

from routingsim.agents.agent import Agent, explain
from routingsim.agents.pool import AgentPool
from routingsim.errors import AgentError, did_you_mean
from routingsim.files import bundled, read_toml
from routingsim.synonyms import argument_hints


class _AgentsFile(msgspec.Struct, forbid_unknown_fields=True):
    agents: list[Agent]


@runtime_checkable
class ArrowStream(Protocol):
    """A table of another library, which gives its columns by the Arrow PyCapsule interface."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


PoolLike = (
    str | os.PathLike[str] | Mapping[str, Any] | Iterable[Agent | Mapping[str, Any]] | ArrowStream
)
"""What :func:`load_agents` makes a pool of."""


@argument_hints
def load_agents(source: PoolLike | None = "default") -> AgentPool:
    """A pool of agents, by name, from a TOML file, or from Python values.

    Parameters
    ----------
    source : str, path, AgentPool, dict, list of Agent or dict, or table
        The path of a TOML file with an ``[[agents]]`` table for each agent; the name of a
        pool that comes with routingsim, one of :func:`builtin_pools`; a dict with the
        content of such a file, or of Agents; a list of agents, each an :class:`Agent` or a dict
        of its fields; or a DataFrame of pandas or polars or an Arrow table with a row for each
        agent, as :meth:`AgentPool.to_frame` makes. A pool is returned as it is; None stands
        for the five default agents.

    Raises
    ------
    AgentError
        If there is no such pool or file, or a field is unknown, missing or out of its
        range; the message names file, agent and field.
    """
    if isinstance(source, AgentPool):
        return source
    source = "default" if source is None else source
    if isinstance(source, str | os.PathLike):
        path = builtin_pools().get(str(source), Path(source))
        return _pool(_toml(path), f"{path}: ")
    if isinstance(source, Mapping):
        agents = list(source.values())
        if agents and all(isinstance(each, Agent) for each in agents):
            source = {"agents": agents}
        return _pool(source, "agents: ")
    if isinstance(source, ArrowStream):  # pandas has it, too
        return _pool({"agents": _records(source)}, "agents: ")
    if not isinstance(source, Iterable) or isinstance(source, Agent | bytes):
        raise AgentError(
            "agents: expected a name, a path, a dict, or a list of agents, found "
            f"{type(source).__name__}"
        )
    return _pool({"agents": list(source)}, "agents: ")


def _records(table: ArrowStream) -> list[dict[str, Any]]:
    """The rows of a table of pandas, pyarrow or polars: what is not set is left out."""
    try:
        rows = pa.table(table).to_pylist()
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise AgentError(f"agents: the table cannot be read ({error})") from None
    return [
        {k: v for k, v in row.items() if v is not None and v == v and not k.startswith("__")}
        for row in rows
    ]


def builtin_pools() -> dict[str, Path]:
    """The pools that come with routingsim, by name: paths of their TOML files."""
    return {
        path.stem.removeprefix("agents").removeprefix("-") or "default": path
        for path in sorted(bundled("data").glob("agents*.toml"))
    }


def _toml(path: Path) -> Any:
    try:
        return read_toml(path)
    except UnicodeDecodeError as error:
        raise AgentError(f"{path}: is not UTF-8 text ({error}); save it as UTF-8") from None
    except ValueError as error:
        raise AgentError(f"{path}: {error}") from None
    except RecursionError:
        raise AgentError(f"{path}: nested too deeply; a pool is a list of flat tables") from None
    except OSError as error:
        names = ", ".join(builtin_pools()) + did_you_mean(str(path), builtin_pools())
        raise AgentError(
            f"{path}: cannot be read as an agents file ({error.strerror or error}); give a TOML "
            f"file, or the name of a pool: {names}"
        ) from None


def _pool(content: Any, place: str) -> AgentPool:
    """A pool from the content of an agents file."""
    try:
        return AgentPool(tuple(msgspec.convert(content, _AgentsFile).agents))
    except msgspec.MsgspecError as error:
        raise AgentError(f"{place}{explain(str(error), content)}") from None
    except AgentError as error:
        raise AgentError(f"{place}{error}") from None
