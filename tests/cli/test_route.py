"""``routingsim route``."""

import json

import pytest

from .running import routingsim


@pytest.mark.slow
def test_one_task_from_standard_input() -> None:
    ran = routingsim("route", "-", "--json", "-", input="What is 2 + 2?")
    said = json.loads(ran.stdout)
    assert said["complexityScore"]["factors"]["length"] == len("What is 2 + 2?")
    assert said["agent"]["name"] in said["reason"]
