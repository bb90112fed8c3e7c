"""Backtests of logs made by an independent simulation in SimPy say how far off they are."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "backtest.py"
    spec = importlib.util.spec_from_file_location("benchmark_of_backtests", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize(
    ("world", "seed", "off", "cause"),
    [
        pytest.param("right", 3, False, "", marks=pytest.mark.soak),  # as "queue"
        ("bimodal", 3, True, "times do not follow the fitted law"),
        pytest.param(  # as test_slow_times_are_said_to_be_off
            *("slow hours", 3, True, "calls are slower at some times"), marks=pytest.mark.soak
        ),
        ("queue", 3, False, ""),  # its slots are inferred
        ("shared queue", 2, True, "calls take longer while more are under w"),
    ],
)
def test_it_says_that_it_is_off_where_it_is(
    benchmark: ModuleType, world: str, seed: int, off: bool, cause: str
) -> None:
    found = benchmark.found_of(world, 6000, seed, runs=1)
    assert found.was <= found.believe
    assert found.narrow is off
    assert cause in found.causes
    assert bool(found.causes) is off


def test_an_unknown_world_is_refused(
    benchmark: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        benchmark.main(["flat"])
    assert left.value.code == 2
    assert (
        "some of right, bimodal, slow hours, queue, shared queue are allowed"
        in capsys.readouterr().err
    )
