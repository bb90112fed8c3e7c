"""The errors a user can meet, all of them kinds of one.

::

    RoutingSimError
    ├── CorpusError       a corpus, trace or log that cannot be read as one
    ├── AgentError        an agents file or pool that does not make sense
    ├── PolicyError       an unknown policy, or one that cannot serve this pool
    ├── SimulationError   arrivals, loads or settings no replay can be run with
    ├── BrokerError       no Redis server to talk to
    └── ProtocolError     a frame or message that breaks the wire protocol

A message names what was read, where, what was found, what is allowed and how
to mend it. The command line prints it on one line and exits with 2.
"""

__all__ = [
    "AgentError",
    "BrokerError",
    "CorpusError",
    "PolicyError",
    "ProtocolError",
    "RoutingSimError",
    "SimulationError",
]


class RoutingSimError(Exception):
    """Any error that the user of routingsim can mend."""


class CorpusError(RoutingSimError):
    """A corpus, trace or log that cannot be read, or a record that is not allowed."""


class AgentError(RoutingSimError):
    """An agents file, an agent or a pool that does not make sense."""


class PolicyError(RoutingSimError):
    """An unknown policy, bad parameters, or a policy that cannot serve this pool."""


class SimulationError(RoutingSimError):
    """Arrivals, loads or settings that no replay can be run with."""


class BrokerError(RoutingSimError):
    """No Redis server could be reached or started."""


class ProtocolError(RoutingSimError):
    """A frame or message that breaks the wire protocol."""
