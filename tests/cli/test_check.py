"""``routingsim check``: the check-up of a file alone."""

import json
from pathlib import Path

import pytest

from .running import invoke

ROWS = "\n".join(f"{k},question {k},0,0.002" for k in range(40))
BAD = "\n".join(f"b{k},question,0,nothing" for k in range(2))


@pytest.mark.slow
def test_check_prints_the_check_up(tmp_path: Path) -> None:
    file, agents = tmp_path / "mine.csv", tmp_path / "mine.toml"
    file.write_text(f"id,text,outcomes.a.cost,outcomes.b.cost\n{ROWS}\n{BAD}\n")
    agents.write_text('[[agents]]\nid = "a"\nname = "A"\ncost = 0.5\nlatency = 1.0\n')
    found = invoke("check", file)
    said = " ".join(found.stdout.split())
    assert found.exit_code == 0
    assert said.startswith("read: 40 tasks, 2 records skipped, 2 agents, cost of all suspicious: ")
    found = invoke("check", file, "--agents", agents, "--json", "-")
    document = json.loads(found.stdout)
    assert document["corpus"] == "mine"
    assert document["read"] == "40 tasks, 2 records skipped, 2 agents, cost of all"
    [one] = document["findings"]
    assert set(one) == {"subject", "severity", "what", "touches", "remedy"}
    assert (one["subject"], one["severity"]) == ("cost", "wrong")
    assert "the agent costs 0.5 USD per 1,000 tokens" in one["what"]


def test_check_reads_a_log_by_a_mapping(tmp_path: Path) -> None:
    file = tmp_path / "flat.csv"
    file.write_text("who,at,ms,q\n" + "".join(f"a,{k},{900 + k},Hi {k}\n" for k in range(40)))
    found = invoke("check", file, "--map", "agent=who,arrived_at=at,latency=ms:ms,text=q")
    assert found.exit_code == 0
    assert "40 tasks, times over 39 s, 1 agent, latency of all" in " ".join(found.stdout.split())
