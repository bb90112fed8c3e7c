"""The benchmark of estimates from logs: cells add up, and a stopped run goes on."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

WORDS = ["sum", "prove", "poem", "code", "list", "red", "blue", "green", "why", "how"]


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """With a made-up corpus of 200 tasks and three agents in place of the public ones."""
    path = Path(__file__).parents[2] / "benchmarks" / "partial_logs.py"
    spec = importlib.util.spec_from_file_location("benchmark_of_partial_logs", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    rng = np.random.default_rng(3)
    texts = [" ".join(rng.choice(WORDS, rng.integers(3, 30))) for _ in range(200)]
    outcome = (rng.random((200, 3)) < [0.5, 0.7, 0.9]).astype(float)
    made_up = module.world_of(outcome, outcome, texts, [""] * 200)
    monkeypatch.setattr(module, "world", lambda corpus, figure: made_up)
    return module


@pytest.mark.slow
def test_cells_count_every_log(benchmark: ModuleType) -> None:
    setting = benchmark.Setting("gsm8k", "length", "recorded", 0.5, 1.0)
    cells = benchmark.cells_of(setting, 5).set_index("what")
    assert list(cells.index[:4]) == ["always 0", "always 1", "always 2", "uniform"]
    assert (cells["answered"] + cells["weak"] <= 5).all()
    assert cells.loc["uniform", "answered"] == 5
    assert (cells["held"] <= cells["answered"]).all()
    assert cells["held"].sum() > 0.8 * cells["answered"].sum()
    # n tasks / mean of sum_a target² / propensity; length plays its agent with 2/3.
    demand = 1 / 9 * (1 / (2 / 3) + 2 / (1 / 6))
    assert cells.loc["uniform", "worth"] == pytest.approx(1 / demand)
    unrecorded = benchmark.Setting("gsm8k", "length", "estimated", 0.5, 1.0)
    assert benchmark.cells_of(unrecorded, 3)["answered"].sum() == 0


@pytest.mark.slow
def test_a_stopped_run_goes_on_and_can_be_read(
    benchmark: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "cells.csv"
    two = [
        benchmark.Setting("gsm8k", "length", "recorded", 0.5, 1.0),
        benchmark.Setting("gsm8k", "length", "mis-recorded", 0.5, 1.0, "uniform"),
    ]
    benchmark.cells_of(two[0], 2).to_csv(out, index=False)
    monkeypatch.setattr(benchmark, "settings", lambda corpora, quick: two)
    listed = benchmark.list_corpora().assign(present=True)
    monkeypatch.setattr(benchmark, "list_corpora", lambda: listed)
    assert benchmark.main(["gsm8k", "--logs", "2", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "1/2" not in said
    assert "2/2  gsm8k quality length mis-recorded uniform" in said
    assert benchmark.main(["--tables", "--out", str(out)]) == 0
    again = capsys.readouterr().out
    assert "Propensities mis-recorded" in again
    assert again in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gsm9k"], "found ['gsm9k']; some of gsm8k, paretobandit-val, dcrouter-train are allowed"),
        (["--tables", "--out", "none.csv"], "none.csv: no such file"),
    ],
)
def test_what_it_cannot_do_is_one_clear_error(
    arguments: list[str], said: str, benchmark: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        benchmark.main(arguments)
    assert left.value.code == 2
    assert said in capsys.readouterr().err
