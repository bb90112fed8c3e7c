"""Studies and sweeps in MLflow: a parent run, a child for each cell, the report beside them."""

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from matplotlib import pyplot

from routingsim.display import parameter
from routingsim.errors import SimulationError
from routingsim.evaluation.cell import METRICS, means
from routingsim.evaluation.study import Study
from routingsim.evaluation.sweeps.result import Sweep
from routingsim.report.html import write_report


def log_to_mlflow(
    result: Study | Sweep,
    *,
    experiment: str = "routingsim",
    name: str | None = None,
    tracking_uri: str | None = None,
) -> str:
    """Log a study or sweep to MLflow.

    The parent run has what all cells share as parameters, and the report (of a study), the
    figures and the whole result as JSON as artefacts. Each policy and load of a study, and each
    cell of a sweep, is a run below it: what differs as parameters, means and half-widths as
    metrics.

    Parameters
    ----------
    result : Study or Sweep
    experiment : str
        MLflow's experiment, made if it is not there.
    name : str, optional
        Of the parent run; by default the corpus's.
    tracking_uri : str, optional
        A server, a database or a folder; MLflow's own setting by default.

    Returns
    -------
    str
        The id of the parent run.

    Raises
    ------
    SimulationError
        If the extra ``mlflow`` is not installed.
    """
    try:
        import mlflow
    except ImportError:
        raise SimulationError(
            "MLflow is not installed: install routingsim[mlflow], or mlflow-skinny"
        ) from None
    client = mlflow.MlflowClient(tracking_uri)
    found = client.get_experiment_by_name(experiment)
    where = client.create_experiment(experiment) if found is None else found.experiment_id
    shared = _shared(result)
    parent = client.create_run(where, run_name=name or shared["corpus"])
    for key, value in shared.items():
        client.log_param(parent.info.run_id, key, value)
    for differing, figures, state in _cells(result):
        said = ", ".join(str(value) for value in differing.values())
        tags = {"mlflow.parentRunId": parent.info.run_id, "stability": state}
        run = client.create_run(where, run_name=said, tags=tags).info.run_id
        for key, value in differing.items():
            client.log_param(run, _allowed(key), value)
        for key, value in figures.items():
            if math.isfinite(value):
                client.log_metric(run, key, value)
        client.set_terminated(run, "FAILED" if state == "failed" else "FINISHED")
    client.log_dict(parent.info.run_id, result.to_dict(), "result.json")
    with tempfile.TemporaryDirectory() as folder:
        for path in _artefacts(result, Path(folder)):
            client.log_artifact(parent.info.run_id, str(path))
    client.set_terminated(parent.info.run_id)
    return parent.info.run_id


def _allowed(name: str) -> str:
    """A name as MLflow allows it."""
    return name.replace("*", "all")


def _shared(result: Study | Sweep) -> dict[str, Any]:
    if isinstance(result, Sweep):
        fixed, varied = result.plan.fixed, ", ".join(result.varied)
        return {
            "corpus": fixed.corpus.name,
            "tasks": len(fixed.corpus),
            "agents": ", ".join(fixed.pool.ids),
            "seed": fixed.seed,
            "replications": fixed.replications,
            "objective": fixed.objective,
            "varied": varied,
        }
    settings = result.settings
    return {
        "corpus": result.corpus.name,
        "tasks": settings.tasks,
        "agents": ", ".join(result.pool.ids),
        "seed": settings.seed,
        "replications": settings.replications,
        "objective": settings.objective,
        "arrivals": result.arrivals,
        "baseline": result.baseline,
    }


def _cells(result: Study | Sweep) -> Iterator[tuple[dict[str, Any], dict[str, float], str]]:
    """What differs, the metrics and the state of each cell."""
    if isinstance(result, Sweep):
        names = [each for metric in METRICS for each in (metric, f"{metric}_hw")]
        for row in result.to_frame().to_dict("records"):
            differing = {name: parameter(row[name]) for name in result.varied}
            state = row["status"] if row["status"] != "done" else row["stability"]
            yield differing, {name: float(row[name]) for name in names}, state
        return
    for (policy, load), cell in result.cells.items():
        differing: dict[str, Any] = {
            "policy": policy,
            "load": load,
            "kind": result.kinds[policy],
        }
        yield differing, means(cell.figures), cell.verdict


def _artefacts(result: Study | Sweep, folder: Path) -> Iterator[Path]:
    if isinstance(result, Sweep):
        plots = {"metric": result.plot, "trade_off": result.plot_trade_off}
    else:
        yield Path(write_report(result, folder / "report.html"))
        plots = {"load": result.plot_load, "frontier": result.plot_frontier}
    for name, plot in plots.items():
        figure = plot().get_figure(root=True)
        assert figure is not None
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=150)
        pyplot.close(figure)
        yield path
