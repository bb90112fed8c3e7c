"""Who gets the task: the kernel contract, and the policies that come with routingsim."""

from routingsim.policies.kernel import (
    Outcome,
    PoolView,
    TaskView,
    choose_kernel,
    draw,
    learn_kernel,
)
from routingsim.policies.policy import Policy, Recipe, make_policy, recipe, recipes
from routingsim.policies.rules import (
    cheapest,
    default_bands,
    fastest,
    least_loaded,
    power_of_two,
    random,
    round_robin,
    shortest_wait,
    static,
    threshold,
    weighted,
)

__all__ = [
    "Outcome",
    "Policy",
    "PoolView",
    "Recipe",
    "TaskView",
    "cheapest",
    "choose_kernel",
    "default_bands",
    "draw",
    "fastest",
    "learn_kernel",
    "least_loaded",
    "make_policy",
    "power_of_two",
    "random",
    "recipe",
    "recipes",
    "round_robin",
    "shortest_wait",
    "static",
    "threshold",
    "weighted",
]
