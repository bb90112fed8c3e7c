"""The benchmark of predictors: what it cannot do it says in one line, whole tables otherwise."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

import routingsim as rs


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "predictors.py"
    spec = importlib.util.spec_from_file_location("benchmark_of_predictors", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gsm9k"], "found ['gsm9k']"),
        (["gsm8k", "--onto", "gsm9k"], "invalid choice: 'gsm9k'"),
        (["gsm8k", "mmlu", "--onto", "half"], "one corpus of"),
        (["mmlu", "--onto", "half"], "mmlu: no mmlu_<subject>.csv in"),
    ],
)
def test_an_unknown_name_is_one_clear_error(
    arguments: list[str],
    said: str,
    benchmark: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ROUTINGSIM_DATA", str(tmp_path))
    with pytest.raises(SystemExit) as stopped:
        benchmark.main(arguments)
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.slow
def test_a_share_of_the_cost_is_kept_on_what_was_held_back(benchmark: ModuleType) -> None:
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 2, 160)
    columns = {
        "id": np.arange(160).astype(str),
        "text": [f"{'ab'[k]}{k} {n}" for n, k in enumerate(kind)],
    }
    columns["category"] = np.where(np.arange(160) < 150, "seen", "seldom")
    for a, (cost, right) in enumerate([(0.001, kind == 0), (0.01, np.full(160, True))]):
        columns[f"outcomes.a{a}.quality"] = right * 1.0
        columns[f"outcomes.a{a}.cost"] = np.full(160, cost)
    corpus = rs.Corpus.from_frame(pd.DataFrame(columns))
    pool = rs.AgentPool(
        tuple(rs.Agent(id=f"a{a}", name=f"A{a}", cost=0.01, latency=1.0) for a in range(2))
    )
    learned, asked = corpus.select(np.arange(80)), corpus.select(np.arange(80, 160))
    chosen = benchmark.choices("ridge", learned, asked, pool)
    # The dear agent is needed for about half the texts; the share goes to some of these.
    assert (chosen[kind[80:] == 0] == 0).all()
    assert (chosen[kind[80:] == 1] == 1).any()
