"""The errors for users; all are subclasses of one.

::

    RoutingSimError
    ├── CorpusError       a corpus, trace or log that cannot be read
    ├── AgentError        an agents file, agent or pool that is not valid
    ├── PolicyError       an unknown policy, or one that does not fit the pool
    │   └── UnlearnableError  a policy that learns from what a corpus does not record
    ├── SimulationError   arrivals, loads or settings that no replay can be run with
    ├── ArgumentError     an argument that a function or class does not have, or that is missing
    ├── BrokerError       no Redis server can be reached
    └── ProtocolError     a frame or message that breaks the protocol

A message says what was read, where, what was found, what is allowed, and how to
correct it. The command line prints it on one line and exits with 2.
"""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message that names the nearest known word, if one is near."""
    near = get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def type_of(value: object) -> str:
    """The type of a value with its article: ``an int``."""
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def wrong_type(name: str, given: object, needed: str) -> str:
    """The message on an argument of another type than the ones ``needed``."""
    shown = " ".join(repr(given).split())
    return f"{name}: {shown:.60} is {type_of(given)}; {needed}"


class RoutingSimError(Exception):
    """Any error that the user of routingsim can correct."""


class CorpusError(RoutingSimError):
    """A corpus, trace or log that cannot be read, or a record that is not allowed."""


class AgentError(RoutingSimError):
    """An agents file, an agent or a pool that is not valid."""


class PolicyError(RoutingSimError):
    """An unknown policy, wrong parameters, or a policy that does not fit the pool."""


class UnlearnableError(PolicyError):
    """A policy that learns from what a corpus does not record, such as qualities."""


class SimulationError(RoutingSimError):
    """Arrivals, loads or settings that no replay can be run with."""


class ArgumentError(RoutingSimError, TypeError):
    """An argument that a function or class does not have, or one that is missing."""


class BrokerError(RoutingSimError):
    """No Redis server could be reached or started."""


class ProtocolError(RoutingSimError):
    """A frame or message that breaks the protocol."""
