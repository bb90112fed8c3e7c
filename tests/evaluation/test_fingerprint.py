"""A digest changes with what a function calls and reads, and with nothing else."""

import functools
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.evaluation.fingerprint import fingerprint
from routingsim.policies import make_policy

HELPERS = """
SHARE = 0.5
TABLE = {"a": [1, 2]}

class Model:
    bias = 1.0
    def __init__(self, weight): self.weight = weight
    def predict(self, x): return self.bias + self.weight * x

MODEL = Model(2.0)
"""

MAIN = """
import functools, math
import numpy as np
import my_helpers
from my_helpers import MODEL, SHARE as share

BAR = 0.9
TABLE = np.arange(3.0)

def deep(x): return x + BAR

def called(x): return deep(x) if x else called(x)

def choose(task, pool, memory, low=0.1, *, high=0.2):
    def inner(): return my_helpers.TABLE["a"][0]
    return called(task) + inner() + share + MODEL.predict(1) + TABLE[0] + math.pi

def unrelated(): return 1
"""


@pytest.fixture
def written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[str, ModuleType]]:
    """The digest of ``choose`` in a module with some of its text replaced, and the module."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(*changes: tuple[str, str]) -> tuple[str, ModuleType]:
        for name, text in (("my_helpers", HELPERS), ("my_policy", MAIN)):
            for old, new in changes:
                text = text.replace(old, new)
            (tmp_path / f"{name}.py").write_text(text)
            sys.modules.pop(name, None)
        for cached in tmp_path.glob("__pycache__/*"):
            cached.unlink()
        importlib.invalidate_caches()
        module = importlib.import_module("my_policy")
        return fingerprint(module.choose), module

    return make


@pytest.mark.parametrize(
    "change",
    [
        ("BAR = 0.9", "BAR = 0.0"),  # a constant that a called function reads
        ("return x + BAR", "return x - BAR"),
        ("deep(x) if x", "deep(x) if not x"),
        ("SHARE = 0.5", "SHARE = 0.6"),  # a constant of another module
        ("[1, 2]", "[3, 2]"),  # one read through the module, in an inner function
        ("bias = 1.0", "bias = 1.5"),
        ("Model(2.0)", "Model(2.5)"),  # the state of an object
        ("self.bias + self", "self.bias - self"),
        ("np.arange(3.0)", "np.arange(4.0)"),
        ("low=0.1", "low=0.3"),
        ("high=0.2", "high=0.3"),
    ],
)
def test_what_is_called_and_read_counts(
    change: tuple[str, str], written: Callable[..., tuple[str, ModuleType]]
) -> None:
    first, _ = written()
    again, _ = written()
    assert first == again
    assert written(change)[0] != first


def test_what_is_not_read_does_not_count(
    written: Callable[..., tuple[str, ModuleType]],
) -> None:
    first, _ = written()
    assert written(("def unrelated(): return 1", "def unrelated(): return 2"))[0] == first
    assert written(("BAR = 0.9", "# a comment\nBAR = 0.9\nOTHER = 1"))[0] == first


def test_a_constant_that_is_set_later_counts(
    written: Callable[..., tuple[str, ModuleType]],
) -> None:
    first, module = written()
    vars(module)["BAR"] = 0.0
    assert fingerprint(module.choose) != first
    vars(module)["BAR"] = 0.9
    assert fingerprint(module.choose) == first


def test_closures_partials_methods_and_caches_count() -> None:
    def made(bar: float) -> Callable[[], float]:
        return lambda: bar

    class Kept:
        def __init__(self, bar: float) -> None:
            self.bar = bar

        def read(self) -> float:
            return self.bar

    def forms(bar: float) -> list[Any]:
        cached = functools.lru_cache(made(bar))
        return [made(bar), functools.partial(made, bar), Kept(bar).read, cached, {bar}, (bar,)]

    for one, same, other in zip(forms(0.1), forms(0.1), forms(0.2), strict=True):
        assert fingerprint(one) == fingerprint(same)
        assert fingerprint(one) != fingerprint(other)


def test_what_cannot_be_followed_is_never_the_same() -> None:
    found = (k for k in range(3))
    assert fingerprint(found) != fingerprint(found)


def test_policies_that_do_otherwise_have_other_digests() -> None:
    made = [make_policy(rs.load_agents(), name) for name in ("linucb", "ucb1", "linucb")]
    one, other, again = (fingerprint(policy.choose, policy.learn) for policy in made)
    assert one == again != other


BAR = 0.9


def _sure(task):
    return 1 if task.d_var < BAR else 0


def by_bar(task, pool, memory):
    return _sure(task)


@pytest.mark.slow
def test_a_study_is_not_resumed_with_another_constant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)
    right = (rng.random(200) < 0.9).astype(float)
    frame = pd.DataFrame(
        {
            "id": [str(k) for k in range(200)],
            "text": [f"some text {k}" for k in range(200)],
            "outcomes.a.quality": 1 - right,
            "outcomes.b.quality": right,
        }
    )
    corpus = rs.Corpus.from_frame(frame)
    pool = rs.AgentPool(tuple(rs.Agent(id=a, name=a, cost=1, latency=1.0) for a in "ab"))

    def quality(path: Path) -> float:
        given: dict[str, Any] = {"loads": 0.3, "replications": 2, "controls": False}
        study = rs.compare(corpus, pool, by_bar, resume=path, **given)
        return study.values("by_bar", 0.3, "quality").mean()

    path = tmp_path / "study.jsonl"
    assert quality(path) == quality(path) == right.mean()
    monkeypatch.setitem(globals(), "BAR", 0.0)
    assert quality(path) == pytest.approx(1 - right.mean())
    assert len(path.read_text().splitlines()) == 2
