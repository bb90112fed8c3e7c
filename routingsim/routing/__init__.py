"""The live router: it scores a text, chooses an agent, explains the choice and learns from it."""

from routingsim.routing.publishing import PART, Publisher, status_of
from routingsim.routing.router import TaskRouter

__all__ = ["PART", "Publisher", "TaskRouter", "status_of"]
