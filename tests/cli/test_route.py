"""``routingsim route``."""

import json
from pathlib import Path

import pytest

from .running import in_process, routingsim


@pytest.mark.slow
def test_one_task_from_standard_input() -> None:
    ran = routingsim("route", "-", "--json", "-", input="What is 2 + 2?")
    said = json.loads(ran.stdout)
    assert said["complexityScore"]["factors"]["length"] == len("What is 2 + 2?")
    assert said["agent"]["name"] in said["reason"]


@pytest.mark.slow
def test_the_tasks_of_a_log_with_a_mapping(tmp_path: Path) -> None:
    log = tmp_path / "calls.csv"
    log.write_text("key,said\n1,What is 2 + 2?\n2,Hello\n")
    given = ("route", str(log), "--policy", "static:gpt-4", "--map", "id=key,text=said")
    ran = in_process(*given)
    assert "gpt-4        2  100.0%" in ran.stdout
    said = json.loads(in_process(*given, "--json", "-").stdout)
    assert [(each["task_id"], each["agent"]) for each in said["tasks"]] == [
        ("1", "gpt-4"),
        ("2", "gpt-4"),
    ]
    refused = in_process("route", "hello", "--map", "id=key")
    assert refused.returncode == 2
    assert "--map is for a file or a folder; there is none named 'hello'" in refused.stderr
