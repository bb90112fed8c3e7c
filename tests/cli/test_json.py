"""Every command writes one JSON document whose fields docs/json.md lists."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from .running import invoke
from .test_init import COMMANDS

PAGE = (Path(__file__).parents[2] / "docs" / "json.md").read_text(encoding="utf-8")
FIELDS = dict(re.findall(r"^\| `([\w-]+)` \| (.*?) \|", PAGE, re.MULTILINE))
LISTED = {command: re.findall(r"`(\w+)`", said) for command, said in FIELDS.items()}
NEEDED = {
    command: re.findall(r"`(\w+)`", re.sub(r"\(.*?\)", "", said))
    for command, said in FIELDS.items()
}
SHORT = ["--arrivals", "poisson:2", "-p", "cheapest"]


def arguments(folder: Path, own: Path) -> dict[str, list[str | Path]]:
    """Of each command that takes --json, the shortest use."""
    calls = folder / "calls.csv"
    pd.DataFrame({"agent": "a", "latency": [1.0 + k / 50 for k in range(50)]}).to_csv(
        calls, index=False
    )
    timed = folder / "timed.csv"
    frame = pd.DataFrame({"agent": "a", "latency": [1.0 + k % 7 / 50 for k in range(150)]})
    frame.assign(arrived_at=range(150)).to_csv(timed, index=False)
    plan = folder / "plan.toml"
    plan.write_text(f"corpus = '{own}'\nreplications = 1\n[vary]\nload = [0.3]\n")
    return {
        "route": ["Hi"],
        "route-file": [own],
        "replay": [own, *SHORT],
        "report": [own, *SHORT],
        "compare": [own, "-p", "cheapest", "--loads", "0.5", "--replications", "1"],
        "capacity": [own, *SHORT, "--slots", "llama=4", "--slo", "p95=9", "--runs", "3"],
        "sweep": [plan],
        "check": [own],
        "backtest": [timed],
        "whatif": [timed, "-p", "cheapest", "--shift", "2x"],
        "fit": [calls, "--cost", "0.01", "-o", folder / "pool.toml"],
        "train": [own, "-p", "thompson", "--episodes", "1", "-o", folder / "learned.npz"],
        "log-size": ["--agents", "4", "--explore", "0.1"],
        "policies": [],
        "corpora": [],
        "agents": [],
    }


def test_every_command_but_serve_is_tried(own: Path) -> None:
    tried = {*COMMANDS, "route-file"} - {"serve"}
    assert set(arguments(own.parent, own)) == tried == set(LISTED)


@pytest.mark.slow
@pytest.mark.parametrize("command", LISTED)
def test_each_document_names_its_schema_and_has_the_listed_fields(command: str, own: Path) -> None:
    given = arguments(own.parent, own)[command]
    if command == "train":  # which needs the quality of every agent
        frame = pd.read_csv(own)
        for agent in ("claude", "gpt-4", "gemini", "llama", "mistral"):
            frame[f"outcomes.{agent}.quality"] = [1.0, 0.5, 0.0]
        frame.to_csv(own, index=False)
    found = json.loads(invoke(command.removesuffix("-file"), *given, "--json", "-").stdout)
    first, *others = found
    assert (first, found["schema"]) == ("schema", f"routingsim/{command}/1")
    assert set(NEEDED[command]) <= set(others) <= set(LISTED[command])
