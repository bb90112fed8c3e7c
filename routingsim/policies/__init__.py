"""Routing policies: the kernel contract, and the policies that come with routingsim."""

from routingsim.policies.assignment import logged
from routingsim.policies.bandits import epsilon_greedy, thompson, ucb1
from routingsim.policies.cascade import cascade
from routingsim.policies.kernel import (
    Outcome,
    PoolView,
    TaskView,
    certain,
    choose_kernel,
    draw,
    learn_kernel,
    probability_kernel,
)
from routingsim.policies.linucb import linucb
from routingsim.policies.load_balancing import least_loaded, power_of_two, shortest_wait
from routingsim.policies.policy import Policy, Recipe, make_policy, recipe, recipes
from routingsim.policies.predictive import blend, kmeans, knn, logistic, ridge, utility
from routingsim.policies.predictors import QualityPredictor
from routingsim.policies.qtable import fs_qmix, q_values
from routingsim.policies.rules import cheapest, fastest, random, round_robin, static, weighted
from routingsim.policies.storage import load_policy, save_policy
from routingsim.policies.threshold import default_bands, threshold

__all__ = [
    "Outcome",
    "Policy",
    "PoolView",
    "QualityPredictor",
    "Recipe",
    "TaskView",
    "blend",
    "cascade",
    "certain",
    "cheapest",
    "choose_kernel",
    "default_bands",
    "draw",
    "epsilon_greedy",
    "fastest",
    "fs_qmix",
    "kmeans",
    "knn",
    "learn_kernel",
    "least_loaded",
    "linucb",
    "load_policy",
    "logged",
    "logistic",
    "make_policy",
    "power_of_two",
    "probability_kernel",
    "q_values",
    "random",
    "recipe",
    "recipes",
    "ridge",
    "round_robin",
    "save_policy",
    "shortest_wait",
    "static",
    "thompson",
    "threshold",
    "ucb1",
    "utility",
    "weighted",
]
