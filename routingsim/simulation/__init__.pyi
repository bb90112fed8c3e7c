"""The public names of the simulator."""

from . import theory as theory
