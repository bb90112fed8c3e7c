"""``routingsim log-size``."""

import json

import pytest

from .running import invoke

ASKED = ("log-size", "--agents", "4", "--explore", "0.1")


def test_it_says_how_many_tasks_and_how_wide() -> None:
    # 50 x 4 / 0.1 tasks; t of 50 / 4 degrees is 2.169, times 0.5 / sqrt(50).
    assert invoke(*ASKED).stdout.splitlines() == [
        "2,000 tasks: with 4 agents and 0.1 of choices at random, worth 50 tasks of a ",
        "policy that never chooses as the router; its estimate ± 0.15, its difference ",
        "from another ± 0.22 (95% confidence)",
        "In the router: TaskRouter(explore=0.1); in the log: the column propensity.",
    ]
    few = invoke(*ASKED, "--tasks", "1999").stdout
    assert few.startswith("1,999 tasks are too few: with 4 agents")


def test_it_is_json_on_request() -> None:
    found = json.loads(invoke(*ASKED, "--json", "-").stdout)
    assert found.pop("half_width") == pytest.approx(0.15338, abs=1e-5)
    assert found.pop("difference") == pytest.approx(0.21692, abs=1e-5)
    assert found == {
        "schema": "routingsim/log-size/1",
        "agents": 4, "explore": 0.1, "tasks": 2000, "worth": 50.0, "level": 0.95, "answers": True,
    }  # fmt: skip
    narrow = json.loads(invoke(*ASKED, "--half-width", "0.05", "--json", "-").stdout)
    assert 0.0495 < narrow["half_width"] <= 0.05
    assert narrow["tasks"] > 10_000
