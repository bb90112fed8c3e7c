"""A short form of ``benchmarks/error_rates.py``: how many statements are false, by fixed seeds.

Each bound is between the number of false statements and that without the mend it guards, which
is named beside it.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def battery() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "error_rates.py"
    spec = importlib.util.spec_from_file_location("error_rates", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    vars(module)["_DAYS"] = 200
    return module


def counted(found: list[Any]) -> tuple[int, int, int]:
    """How many statements there might be, how many were made, and how many were false."""
    return len(found), sum(each.said for each in found), sum(each.false for each in found)


@pytest.mark.soak  # test_compare.py has a shorter one of the same
def test_verdicts_allow_for_the_sample_of_tasks(battery: ModuleType) -> None:
    """Of equal agents 3 are false; 39 without the variance between corpora and between tasks."""
    world = battery.World(200, 0.9)
    found = [said for seed in range(10) for said in battery.verdicts(seed, world)]
    assert counted(found)[0] == 70
    assert counted(found)[2] <= 7


@pytest.mark.soak  # test_compare.py has a shorter one of the same
def test_verdicts_find_what_there_is(battery: ModuleType) -> None:
    world = battery.World(1_000, apart=0.1)
    found = [said for seed in range(4) for said in battery.verdicts(seed, world)]
    assert sum(said.power == 1.0 for said in found) >= 12  # of 16
    assert counted(found)[2] <= 2


def test_the_first_of_equals_is_not_named(battery: ModuleType) -> None:
    """Of 12 statements 2 are false; 6 without the variance between corpora."""
    found = [said for seed in range(4) for said in battery.first(seed, battery.World(200))]
    assert counted(found)[0] == 12
    assert counted(found)[2] <= 3


def test_few_prompts_asked_often_are_few(battery: ModuleType) -> None:
    """None is false; 13 of 16 of the report are where tasks are counted, and the one of order."""
    world = battery.World(3_000, prompts=100)
    found = [said for seed in range(8) for said in battery.report(seed, world)]
    assert counted(found)[0] == 16
    assert counted(found)[2] <= 2
    assert counted(list(battery.order(1, battery.World(1_200, prompts=60)))) == (1, 0, 0)


@pytest.mark.soak  # test_replications.py has one against an exact mean
def test_intervals_are_of_further_runs(battery: ModuleType) -> None:
    """Four miss; of the run's own 30 batches 42 would."""
    found = [said for seed in range(30) for said in battery.one_run(seed, 540, 0.9)]
    assert counted(found)[:2] == (60, 60)
    assert counted(found)[2] <= 8


def test_days_like_a_recorded_one(battery: ModuleType) -> None:
    """None misses; of further runs at the recorded times alone four would."""
    found = [said for seed in range(12) for said in battery.days(seed, 540, 0.9)]
    assert counted(found)[:2] == (12, 12)
    assert counted(found)[2] <= 2


def test_a_short_run_is_not_called_steady(battery: ModuleType) -> None:
    """By a load below .95 alone 39 of these would be, 28 of them falsely."""
    found = [
        said
        for seed in range(40)
        for load in (0.9, 1.2)
        for said in battery.stability(seed, 540, load)
        if said.kind == "steady"
    ]
    assert counted(found)[0] == 80
    assert counted(found)[1] <= 4
    long = [said for seed in range(4) for said in battery.stability(seed, 20_000, 0.6)]
    assert counted(long) == (8, 4, 0)
