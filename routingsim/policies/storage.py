"""A policy in a file: what it has learned, and the name that makes it again.

The file is a ``.npz`` archive of two members, ``memory.npy`` and ``policy.json``. It holds
numbers and names, no code and no pickle, so that reading a file from anyone runs no code of
theirs. The kernels come from the recipe that ``policy.json`` names.
"""

import os
import stat
import struct
import zipfile
import zlib
from dataclasses import replace
from typing import IO

import msgspec
import numpy as np
from numpy.typing import NDArray

from routingsim.agents import AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.errors import PolicyError, RoutingSimError
from routingsim.files import beyond, written
from routingsim.policies import bandit_base
from routingsim.policies.bandits import learn_by_agent
from routingsim.policies.fitted import FittedTexts
from routingsim.policies.linucb import layout, learn_linear, weights_end
from routingsim.policies.policy import Policy, check_pool, make_policy, recipe
from routingsim.policies.qtable import LAYOUT, learn_table

_FORMAT = 2
_FORMATS = (1, 2)
# Format 1 has none of what stands at the end of a bandit's memory now, and its names leave
# out what were then the defaults.
_THEN = {"linucb": "exploration=0.5,ridge=1"}
_MEMORY, _ABOUT = "memory.npy", "policy.json"


class _About(msgspec.Struct, frozen=True):
    """What ``policy.json`` says."""

    format: int
    policy: str  # the name that makes it, untrained
    agents: list[str]
    fitted_on: list[FittedTexts | str]  # the file's hash alone, in format 1


def save_policy(pool: AgentPool, policy: Policy, path: str | os.PathLike[str]) -> None:
    """Write a policy and what it has learned to a file.

    Of a live router that is ``replace(router.policy, memory=router.memory)``, with no task
    in flight. Equal policies make equal files.

    Parameters
    ----------
    pool : AgentPool
        The pool that the policy was made for.
    policy : Policy
        Made by a recipe, so that its name makes it again.
    path : path
        Any name; ``.npz`` says what it is.

    Raises
    ------
    PolicyError
        If its name does not make it again, or the file cannot be written.
    """
    check_pool("save_policy", "a pool, a policy and a path", pool)
    # A policy that was read from a file is saved by the name that made it.
    name = policy.parameters.get("policy", policy.name)
    if not policy.learns:
        raise PolicyError(f"{policy.name} learns nothing: its name is all there is to keep")
    try:
        made = make_policy(pool, name)
    except RoutingSimError as error:
        raise PolicyError(
            f"{policy.name} cannot be saved: a file holds the name of a recipe, and {name!r} "
            f"makes no policy for this pool ({error}); register yours with @recipe"
        ) from error
    same = (made.choose, made.learn) == (policy.choose, policy.learn)
    if not same or made.memory.shape != policy.memory.shape:
        raise PolicyError(
            f"{policy.name} cannot be saved: {name!r} makes another policy for this pool; give "
            "the pool that it was made for, and the name that makes it"
        )
    about = _About(_FORMAT, name, list(pool.ids), list(policy.fitted_on))
    with (
        written(path, PolicyError) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        # Opened by its name a member has no date, so that equal policies make equal files.
        with archive.open(_ABOUT, "w") as member:
            member.write(msgspec.json.encode(about))
        with archive.open(_MEMORY, "w") as member:
            np.lib.format.write_array(member, policy.memory, allow_pickle=False)


def load_policy(pool: AgentPool, path: str | os.PathLike[str]) -> Policy:
    """Read a policy that :func:`save_policy` wrote.

    Parameters
    ----------
    pool : AgentPool
        The agents that it was saved with, in that order.
    path : path

    Raises
    ------
    PolicyError
        If it is not such a file, or was saved with other agents.
    """
    check_pool("load_policy", "a pool and a path", pool)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise PolicyError(f"{path}: not a saved policy: it is no file")
        with zipfile.ZipFile(path) as archive:
            size = archive.getinfo(_ABOUT).file_size
            if reason := beyond("ROUTINGSIM_MAX_POLICY", size, f"bytes in {_ABOUT}"):
                raise PolicyError(f"{path}: {reason}")
            about = msgspec.json.decode(archive.read(_ABOUT), type=_About)
            if about.format not in _FORMATS:
                raise PolicyError(
                    f"{path}: saved in format {about.format}; this version reads "
                    f"{' and '.join(map(str, _FORMATS))}"
                )
            fitted_on = tuple(each for each in about.fitted_on if isinstance(each, FittedTexts))
            if len(fitted_on) < len(about.fitted_on):
                raise PolicyError(
                    f"{path}: saved in format 1, which does not say on which texts it was fitted; "
                    "fit it again and save it"
                )
            if tuple(about.agents) != pool.ids:
                raise PolicyError(
                    f"{path}: saved for the agents {', '.join(about.agents)}, in that order; this "
                    f"pool has {', '.join(pool.ids)}"
                )
            if about.policy.partition(":")[0] == "file":
                raise PolicyError(f"{path}: names another file, {about.policy!r}, and not a recipe")
            try:
                policy = make_policy(pool, _name_now(about))  # before it learned
            except RoutingSimError as error:
                raise PolicyError(f"{path}: names a policy that cannot be made: {error}") from error
            with archive.open(_MEMORY) as member:
                memory = _read(path, member, policy, len(pool), about.format)
    except FileNotFoundError:
        raise PolicyError(
            f"{path}: no such file; `routingsim train` writes one, or "
            "routingsim.policies.save_policy()"
        ) from None
    except _BROKEN as error:
        raise PolicyError(f"{path}: not a saved policy: {error}") from error
    if np.isnan(memory).any():
        raise PolicyError(f"{path}: its memory has values that are no numbers; it was changed")
    # Kernels index the memory by its layout.
    for learn, place in ((learn_table, LAYOUT), (learn_linear, layout(len(pool)))):
        if policy.learn is learn and not np.array_equal(memory[place], policy.memory[place]):
            raise PolicyError(f"{path}: its memory is not laid out as that of {policy.name}")
    return replace(policy, memory=memory, fitted_on=fitted_on)


@recipe("file")
def file(pool: AgentPool, corpus: Corpus | None = None, *, path: str = "") -> Policy:
    """A policy that was saved, with what it had learned: ``file:PATH``.

    Parameters
    ----------
    path : str
        A file that :func:`save_policy` wrote for these agents.

    Raises
    ------
    PolicyError
        As :func:`load_policy`.
    """
    if not path:
        raise PolicyError("file needs the path of a saved policy: file:fs-qmix.npz, for one")
    policy = load_policy(pool, path)
    parameters = {**policy.parameters, "policy": policy.name}
    return replace(policy, name=f"file:{path}", parameters=parameters)


_BROKEN = (
    *(OSError, zipfile.BadZipFile, zlib.error),
    *(KeyError, ValueError, RuntimeError, EOFError, struct.error, msgspec.MsgspecError),
)
"""Errors that reading another or a damaged file can raise."""


def _name_now(about: _About) -> str:
    """The name that makes the policy as it was saved, whatever the defaults are now."""
    name, _, given = about.policy.partition(":")
    if about.format == 1 and name in _THEN:
        return f"{name}:{_THEN[name]},{given}"
    return about.policy


def _read(
    path: str | os.PathLike[str], member: IO[bytes], policy: Policy, agents: int, version: int
) -> NDArray[np.float64]:
    """Read the memory, if its header has the policy's shape and type; complete an older one."""
    if np.lib.format.read_magic(member) != (1, 0):
        raise ValueError(f"{_MEMORY} is not of version 1.0")
    try:
        shape, _, kind = np.lib.format.read_array_header_1_0(member)
    except Exception as error:  # numpy reads it by Python's own parsers, which raise many kinds
        raise ValueError(f"the header of {_MEMORY} cannot be read ({error})") from error
    expected = (_size(policy, agents, version),)
    if shape != expected or kind != np.float64:
        raise PolicyError(
            f"{path}: holds {kind} of shape {shape} and {policy.name} needs float64 of shape "
            f"{expected}; it was changed, or saved by another version"
        )
    data = member.read(8 * expected[0] + 1)  # no more, whatever the archive would unpack to
    read = np.frombuffer(data, dtype=np.float64).reshape(expected)
    return np.concatenate([read, policy.memory[read.size :]])


def _size(policy: Policy, agents: int, version: int) -> int:
    """Of the policy's memory, in a file of this format."""
    if version == 1 and policy.learn is learn_by_agent:
        return bandit_base.HEAD + bandit_base.BLOCKS * agents
    if version == 1 and policy.learn is learn_linear:
        return weights_end(policy.memory, agents)
    return policy.memory.size
