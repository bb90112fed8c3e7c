"""``routingsim compare``: policies at several loads, with replications and controls."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from routingsim.cli.completion import among
from routingsim.cli.console import print_decision, print_study, remark, write_json
from routingsim.cli.inputs import DecisionInputs
from routingsim.cli.options import (
    JsonOption,
    ReportOption,
    Workers,
    load_option,
    option,
    spread,
    write_page,
)
from routingsim.cli.outputs import TABLE, file_option
from routingsim.cli.report import notebook_of_study
from routingsim.errors import SimulationError

if TYPE_CHECKING:
    from routingsim.evaluation.study import Study

study_option = partial(option, panel="Runs and controls")


@spread
def compare(
    inputs: DecisionInputs,
    workers: Workers,
    loads: Annotated[
        str | None,
        load_option(
            "SHARES",
            "Loads, as shares of the pool's capacity, separated by commas. Default: 0.3,0.6,0.9.",
        ),
    ] = None,
    rates: Annotated[
        str | None,
        load_option("RATES", "Instead of --loads: arrival rates (tasks/s), separated by commas."),
    ] = None,
    arrivals: Annotated[
        str | None,
        load_option(
            "PROCESS",
            "Arrival process, scaled to each load: gamma:1,cv=2, corpus, trace:FILE, … "
            "Default: Poisson.",
        ),
    ] = None,
    replications: Annotated[
        int, study_option("N", "Runs of each policy at each load, with seeds of their own.")
    ] = 20,
    population: Annotated[
        str,
        study_option(
            "WHICH",
            "What intervals and verdicts are about: 'tasks like these', of which the corpus is a "
            "sample (40 more runs of each policy and load), or 'these tasks' alone.",
            complete=among("tasks like these", "these tasks"),
        ),
    ] = "tasks like these",
    right: Annotated[float, study_option("Q", "Lowest recorded quality of a right answer.")] = 0.5,
    controls: Annotated[
        bool,
        study_option(None, "Also run the controls: random, cheapest, best single agent, oracle, …"),
    ] = True,
    resume: Annotated[
        Path | None,
        file_option(
            "Checkpoint file: keep finished results in it, and resume from it after an "
            "interruption.",
            (),
        ),
    ] = None,
    report: ReportOption = None,
    runs_to: Annotated[
        Path | None,
        file_option("Write a row per run to FILE.csv, FILE.parquet or FILE.jsonl.", TABLE),
    ] = None,
    json_to: JsonOption = None,
) -> None:
    """Compare policies at several loads, with intervals, verdicts and controls."""
    from routingsim.evaluation.compare import compare as run

    conditions, objectives = inputs.conditions(), inputs.objectives()
    asked = inputs.asked()
    corpus, pool = inputs.read()
    given: dict[str, Any] = {
        "loads": _numbers(loads, "--loads"),
        "rates": _numbers(rates, "--rates"),
        "arrivals": arrivals,
        "replications": replications,
        "tasks": inputs.tasks,
        "seed": inputs.seed,
        "population": population,
        "right": right,
        "service": inputs.service,
        "controls": controls,
        **conditions,
        **objectives,
    }
    default = ["threshold", "threshold:calibrated", "least-loaded"]
    try:
        with workers.execution() as where:
            policies = inputs.policies(corpus, pool, default)
            study = run(corpus, pool, policies, **given, resume=resume, **where)
    except KeyboardInterrupt:
        if resume is None or not resume.exists():
            raise
        raise KeyboardInterrupt(
            f"finished cells are saved in {resume}; run it again to resume"
        ) from None
    _write(study, asked, json_to, runs_to)
    if report is not None and report.suffix.lower() == ".ipynb":
        remark(f"report: {notebook_of_study(inputs, study, given, report)}", style="")
    else:
        write_page(study, report, **asked)


def _write(
    study: "Study", asked: dict[str, Any], json_to: Path | None, runs_to: Path | None
) -> None:
    """Print the study and the decision, or write them where it was asked for."""
    if json_to is not None:
        document = study.to_dict() | {"decision": study.decision(**asked).to_dict()}
        write_json("compare", document, json_to)
    if json_to != Path("-"):
        print_study(study)
        print_decision(study.decision(**asked))
    if runs_to is not None:
        remark(f"runs: {study.write(runs_to)}", style="")


def _numbers(text: str | None, option: str) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise SimulationError(
            f"{option} {text!r}: numbers separated by commas are needed, as 0.3,0.6,0.9"
        ) from None
