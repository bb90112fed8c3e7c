"""What an answer has to meet to count: ``--objective``, ``--first-token-objective``, ``--slo``."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from .running import in_process

AGENTS = """
[[agents]]
id = "soon"
name = "Soon"
cost = 0.02
latency = 2.0
service = "tokens"
latency_cv = 0.0
ttft = 0.5
tokens_per_second = 200.0
concurrency = 1000

[[agents]]
id = "late"
name = "Late"
cost = 0.01
latency = 2.0
service = "tokens"
latency_cv = 0.0
ttft = 1.5
tokens_per_second = 600.0
concurrency = 1000
"""  # both take 2 s for 300 tokens, and answer after 0.5 and after 1.5 s


@pytest.fixture
def command(tmp_path: Path) -> tuple[str | Path, ...]:
    """Tasks that both agents answer rightly, and what all commands are given."""
    agents, tasks = tmp_path / "agents.toml", tmp_path / "tasks.jsonl"
    agents.write_text(AGENTS)
    right = {"soon": {"quality": 1.0}, "late": {"quality": 1.0}}
    rows = [{"id": str(k), "text": f"Task number {k}", "outcomes": right} for k in range(80)]
    tasks.write_text("\n".join(map(json.dumps, rows)))
    return (
        tasks,
        "--agents",
        agents,
        "-p",
        "static:soon",
        "-p",
        "static:late",
        "--arrivals",
        "poisson:5",
    )


def goodput(*command: str | Path) -> dict[str, float]:
    found = in_process(
        "compare", *command, "--population", "these tasks", "--loads", "0.01", "--json", "-"
    )
    assert not found.returncode, found.stderr
    (rows,) = json.loads(found.stdout)["loads"].values()
    return {row["policy"]: row["goodput"] for row in rows if row["kind"] == "policy"}


def test_an_answer_counts_within_both_objectives(command: tuple[Any, ...]) -> None:
    few = (*command, "--replications", "2", "--tasks", "60")
    free = goodput(*few, "--objective", "2")
    assert free["static:soon"] == free["static:late"] > 0
    both = goodput(*few, "--objective", "2", "--first-token-objective", "1")
    assert both == {"static:soon": free["static:soon"], "static:late": 0.0}
    assert set(goodput(*few, "--objective", "1.9").values()) == {0.0}


def test_a_target_of_goodput_goes_by_the_objectives(command: tuple[Any, ...]) -> None:
    asked = ("--slo", "goodput=1", "--first-token-objective", "1", "--objective")
    said = " ".join(in_process("replay", *command, *asked, "2").stdout.split())
    assert "Answer: Keep static:soon" in said
    assert "static:late misses a target" in said
    line = r"goodput: \S+ right answers/s, \S+ of the tasks answered within 2 s, first \S+ \S+ 1 s"
    blocks = " ".join(in_process("replay", *command, "--in-blocks", *asked, "2").stdout.split())
    shown = re.findall(line, said)
    assert re.findall(line, blocks) == shown
    assert [each.split()[4] for each in shown] == ["100.0%", "0.0%"]
    missed = " ".join(in_process("replay", *command, *asked, "1").stdout.split())
    assert "Answer: No policy meets the targets" in missed


@pytest.mark.parametrize("option", ["--objective", "--first-token-objective"])
def test_objectives_that_are_refused(command: tuple[Any, ...], option: str) -> None:
    for verb in ("replay", "compare", "report"):
        found = in_process(verb, *command, option, "0")
        assert (found.returncode, found.stdout) == (2, "")
        assert f"{option.strip('-').replace('-', '_')}=0" in found.stderr.replace("\n", "")
