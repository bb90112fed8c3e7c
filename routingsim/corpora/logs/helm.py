"""HELM: statistics of each instance, a folder a run; with its instances, their texts."""

import re
from pathlib import Path
from typing import Any

from routingsim.corpora.logs.fields import dig
from routingsim.corpora.logs.shape import LeftOut, Shape, column, mask
from routingsim.corpora.rows import Rows

_METRICS = [
    "final_number_exact_match",
    "quasi_prefix_exact_match",
    "prefix_exact_match",
    "quasi_exact_match",
    "exact_match",
    "math_equiv_chain_of_thought",
    "math_equiv",
    "ifeval_strict_accuracy",
    "omni_math_accuracy",
    "chain_of_thought_correctness",
    "f1_score",
    "rouge_l",
    "bleu_4",
]


def _prepare(rows: Rows) -> Rows:
    """Task, model and figures of each instance."""
    scenario, model = _run(rows.file)
    stats = [_stats(each) for each in column(rows, "stats")]
    known = {name for each in stats for name in each}
    measure = next((name for name in _METRICS if name in known), None)
    size = len(rows)
    ids = column(rows, "instance_id")
    if not any(each is not None for each in ids):
        ids = column(rows, "id")
    extra: dict[str, Any] = {
        "task": [f"{scenario}-{each}" for each in ids],
        "set": [scenario] * size,
        "model": [model] * size,
    }
    names = {
        "measure": (measure,),
        "inference_runtime": ("inference_runtime",),
        "num_prompt_tokens": ("num_prompt_tokens",),
        "num_output_tokens": ("num_completion_tokens", "num_output_tokens"),
    }
    for column_name, candidates in names.items():
        extra[column_name] = [
            next((each[name] for name in candidates if name in each), None) for each in stats
        ]
    return rows.also(**extra)


def _run(file: str) -> tuple[str, str]:
    """Scenario and model, from the name of a run's folder: ``gsm:model=openai_gpt-4o``."""
    folder = Path(file).resolve().parent.name
    scenario, _, about = folder.partition(":")
    found = re.search(r"(?:^|,)model=([^,]+)", about)
    others = [each for each in about.split(",") if each and not each.startswith("model=")]
    name = scenario + (f":{','.join(others)}" if others else "")
    return name, (found[1].replace("_", "/", 1) if found else folder)


def _stats(value: Any) -> dict[str, Any]:
    """The mean of each statistic, by name."""
    if isinstance(value, dict):
        return value
    found: dict[str, Any] = {}
    for each in value if isinstance(value, list) else []:
        name = dig(each, ["name", "name"])
        if name and dig(each, ["name", "perturbation"]) is None:
            found.setdefault(str(name), dig(each, ["mean"]))
    return found


def _left_out(rows: Rows) -> LeftOut:
    trials = mask(column(rows, "train_trial_index"), lambda value: bool(value))
    changed = mask(column(rows, "perturbation"), lambda value: bool(value))
    return {"instances that were perturbed": changed, "further trials": trials & ~changed}


_READS = ("stats", "instance_id", "id", "train_trial_index", "perturbation", "predicted_text")
_TABLE = {
    "task_id": "task",
    "agent": "model",
    "prompt_tokens": "num_prompt_tokens",
    "output_tokens": "num_output_tokens",
    "latency": "inference_runtime",
    "quality": "measure",
    "tags": "set",
}

SHAPES = (
    Shape(
        "helm",
        "HELM's statistics of each instance",
        _TABLE,
        always=("instance_id", "stats"),
        never=("predicted_text",),
        kind="answers",
        prepare=_prepare,
        left_out=_left_out,
        reads=_READS,
        beside=(
            "display_predictions.json",
            "display_requests.json",
            "run_spec.json",
            "scenario.json",
            "scenario_state.json",
            "stats.json",
        ),
        said={
            "task_id": "the scenario in the folder's name, and `instance_id`",
            "agent": "`model=` in the folder's name",
            "quality": "the mean of an accuracy: `final_number_exact_match`, `quasi_exact_match`, "
            "`exact_match`, … whichever is there first",
            "latency": "`inference_runtime`",
            "text": "`input.text` of `instances.json` in the same folder",
        },
        form="JSON, a folder a run; a folder of runs joins them",
    ),
    Shape(
        "helm-instances",
        "HELM's instances",
        {"task_id": "task", "text": "input.text|input"},
        always=("id", "input", "references"),
        kind="requests",
        prepare=_prepare,
        left_out=_left_out,
        reads=_READS,
        form="JSON; joined to the statistics of the run",
    ),
    Shape(
        "helm-predictions",
        "HELM's displayed predictions",
        _TABLE,
        always=("instance_id", "predicted_text", "stats"),
        kind="answers",
        prepare=_prepare,
        left_out=_left_out,
        reads=_READS,
        beside=("display_requests.json", "run_spec.json", "scenario.json", "stats.json"),
        form="JSON, where there is no `per_instance_stats.json`",
    ),
)
