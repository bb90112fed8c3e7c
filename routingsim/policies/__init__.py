"""Who gets the task: the kernel contract, and the policies that come with routingsim."""

from routingsim.policies.cascade import cascade
from routingsim.policies.kernel import (
    Outcome,
    PoolView,
    TaskView,
    choose_kernel,
    draw,
    learn_kernel,
)
from routingsim.policies.policy import Policy, Recipe, make_policy, recipe, recipes
from routingsim.policies.predictive import kmeans, knn, logistic, ridge, utility
from routingsim.policies.predictors import QualityPredictor
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
    "QualityPredictor",
    "Recipe",
    "TaskView",
    "cascade",
    "cheapest",
    "choose_kernel",
    "default_bands",
    "draw",
    "fastest",
    "kmeans",
    "knn",
    "learn_kernel",
    "least_loaded",
    "logistic",
    "make_policy",
    "power_of_two",
    "random",
    "recipe",
    "recipes",
    "ridge",
    "round_robin",
    "shortest_wait",
    "static",
    "threshold",
    "utility",
    "weighted",
]
