"""A study and a sweep in MLflow's own file store: runs below a run, and what lies beside them."""

import importlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pytest

import routingsim as rs
from routingsim.report.tracking import log_to_mlflow

from ..evaluation.samples import SMALL, corpus, pool


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    pytest.importorskip("mlflow", reason="needs the extra mlflow")  # slow to import
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    return (tmp_path / "mlruns").as_uri()


def logged(result: Any, uri: str) -> tuple[Any, list[Any], set[str]]:
    """The parent run, those below it, the names of its artefacts."""
    mlflow: Any = importlib.import_module("mlflow")  # a second and more: not while collecting
    parent = log_to_mlflow(result, experiment="routing", tracking_uri=uri)
    client = mlflow.MlflowClient(uri)
    where = client.get_experiment_by_name("routing").experiment_id
    below = client.search_runs(where, f"tags.mlflow.parentRunId = '{parent}'")
    names = {each.path for each in client.list_artifacts(parent)}
    return client.get_run(parent), below, names


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::Warning:mlflow")
@pytest.mark.filterwarnings("ignore:.*filesystem.*")
def test_a_study_is_a_run_with_one_below_for_each_policy_and_load(uri: str) -> None:
    study = rs.compare(corpus(), pool(), ["threshold", "random"], controls=False, **SMALL)
    parent, below, names = logged(study, uri)
    assert names == {"report.html", "result.json", "load.png", "frontier.png"}
    assert (parent.info.run_name, parent.info.status) == ("frame", "FINISHED")
    assert parent.data.params["baseline"] == "threshold"
    found = {(run.data.params["policy"], run.data.params["load"]): run for run in below}
    assert set(found) == {(n, at) for n in ("threshold", "random") for at in ("0.4", "0.9")}
    cost = found["random", "0.4"].data.metrics["cost"]
    assert cost == study.values("random", 0.4, "cost").mean()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::Warning:mlflow")
@pytest.mark.filterwarnings("ignore:.*filesystem.*")
def test_a_sweep_with_a_cell_that_failed(uri: str) -> None:
    sweep = rs.sweep(
        corpus(), pool(), "static:a1", vary={"policy.agent": ["a0", "nobody"], "load": [0.1]},
        replications=2, n_jobs=1,
    )  # fmt: skip
    parent, below, names = logged(sweep, uri)
    assert names == {"result.json", "metric.png", "trade_off.png"}
    status = {run.data.params["policy.agent"]: run.info.status for run in below}
    assert status == {"a0": "FINISHED", "nobody": "FAILED"}
    [good] = [run for run in below if run.info.status == "FINISHED"]
    assert good.data.metrics["latency_mean"] == sweep.to_frame()["latency_mean"][0]
    result = Path(unquote(urlparse(parent.info.artifact_uri).path)) / "result.json"
    assert len(json.loads(result.read_text())["rows"]) == 2
