"""Every command writes one JSON document whose fields docs/json.md lists."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pandas as pd
import pytest
from jsonschema import Draft202012Validator

from .running import invoke
from .test_init import COMMANDS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "json.md").read_text(encoding="utf-8")
SCHEMA = json.loads((DOCS / "json.schema.json").read_text(encoding="utf-8"))
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


def test_every_command_is_tried(own: Path) -> None:
    tried = {*arguments(own.parent, own), "serve"}
    assert tried == {*COMMANDS, "route-file"} == set(LISTED)


def test_the_schema_has_the_fields_of_the_page() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert [each["$ref"] for each in SCHEMA["oneOf"]] == [f"#/$defs/{name}" for name in LISTED]
    for command, fields in LISTED.items():
        said = SCHEMA["$defs"][command]
        assert list(said["properties"]) == ["schema", *fields]
        assert said["required"] == ["schema", *NEEDED[command]]


@pytest.mark.slow
@pytest.mark.parametrize("command", sorted({*LISTED} - {"serve"}))
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
    Draft202012Validator(SCHEMA).validate(found)


@pytest.mark.system
def test_serve_writes_its_addresses_when_it_is_ready(tmp_path: Path) -> None:
    serve = [sys.executable, "-m", "routingsim", "serve", "--json", "-"]
    environ = os.environ | {"WEBSOCKET_PORT": "0", "HTTP_PORT": "0"}
    with subprocess.Popen(
        serve, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout
        found = json.loads(server.stdout.readline())
        with urlopen(f"{found['api']}/health") as answer:
            assert answer.status == 200
        server.terminate()
        rest, _ = server.communicate(timeout=20)
    assert rest == ""
    assert list(found) == ["schema", *LISTED["serve"]]
    Draft202012Validator(SCHEMA).validate(found)
    assert found["schema"] == "routingsim/serve/1"
    assert found["websocket"].startswith("ws://127.0.0.1:")
    assert re.fullmatch(r"redis://\w+:\*\*\*@127\.0\.0\.1:\d+/0", found["redis"])
