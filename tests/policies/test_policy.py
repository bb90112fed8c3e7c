"""Policies and recipes: from what a user wrote, in another process, and from other packages."""

import copy
import pickle
import runpy
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import routingsim as rs
from routingsim.agents import AgentPool, load_agents
from routingsim.corpora.corpus import Corpus
from routingsim.errors import AgentError, PolicyError, type_of
from routingsim.policies import cascade, make_policy, recipes, ridge, threshold, ucb1
from routingsim.policies.kernel import Kernel, choose_kernel
from routingsim.policies.policy import Judge, Policy, _plugged_in, recipe, sentence

from ..cli.running import in_process

POOL = load_agents()


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """Some of our own tasks, with made-up qualities for policies that are fitted."""
    tasks = rs.load_corpus("tasks").head(40)
    qualities = np.random.default_rng(1).random((len(tasks), len(POOL)))
    columns = {f"outcomes.{a}.quality": q for a, q in zip(POOL.ids, qualities.T, strict=True)}
    return Corpus.from_frame(tasks.to_frame().assign(**columns), tasks.name)


# -- from what a user wrote -----------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("threshold", "threshold"),
        ("threshold: low = 0.2 , medium = 0.4", "threshold:low=0.2,medium=0.4"),
        ("threshold:low=0.3,medium=0.5", "threshold"),
        ("threshold:spill=2", "threshold:spill=2"),
        ("threshold:low=0.1,spill=2", "threshold:low=0.1,medium=0.5,spill=2"),
        ("static:gpt-4", "static:gpt-4"),
        ("static:agent=gpt-4", "static:gpt-4"),
        ("weighted", "weighted:slots"),
        ("weighted:3/1/1/1/1", "weighted:3/1/1/1/1"),
    ],
)
def test_names_are_written_in_one_way(written: str, name: str) -> None:
    assert make_policy(POOL, written).name == name
    assert make_policy(POOL, name).name == name


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("treshold", r"no policy 'treshold': there are .*cheapest, .*; did you mean 'threshold'\?"),
        ("", r"no policy ''"),
        ("cheapest:fast", r"cheapest has no parameter 'fast'; it has none$"),
        ("threshold:high=0.9", r"no parameter 'high'; it has low=0.3, medium=0.5, .*spill=inf$"),
        ("threshold:0.2", r"threshold has no parameter '0.2'"),
        ("threshold:hihg=0.9,calibrate", r"no parameter 'hihg'"),
        ("threshold:calibrate", r"no parameter 'calibrate'; .*; did you mean 'calibrated'\?"),
        ("threshold:low=little", r"low is 'little'; a number is needed"),
        ("threshold:calibrated=maybe", r"calibrated is 'maybe'; true or false is needed"),
    ],
)
def test_what_makes_no_sense_is_refused(written: str, said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        make_policy(POOL, written)


def test_an_agent_that_is_not_in_the_pool_is_named() -> None:
    with pytest.raises(AgentError, match=r"no agent 'gpt-5' in this pool: it has claude, gpt-4"):
        make_policy(POOL, "static:gpt-5")


def test_policies_kernels_and_plain_functions_are_taken_as_they_are() -> None:
    def mine(task, pool, memory):
        return 2

    policy = make_policy(POOL, "random")
    assert make_policy(POOL, policy) is policy
    named = make_policy(POOL, policy.choose)
    assert isinstance(named, Policy)
    assert (named.name, named.interpreted, named.learns) == ("_any", False, False)
    plain = make_policy(POOL, mine)
    assert (plain.name, plain.interpreted) == ("mine", True)
    assert isinstance(plain.choose, Kernel)
    assert plain.choose.python is mine


@pytest.mark.parametrize("wanted", [["threshold"], ("a", "b"), None, 3, b"threshold", {}])
def test_what_is_no_policy_is_said_to_be_none(wanted: Any, corpus: Corpus) -> None:
    said = f"is {type_of(wanted)}, not a policy: give a name such as 'threshold'"
    with pytest.raises(PolicyError, match=said):
        make_policy(POOL, wanted)
    with pytest.raises(PolicyError, match=said):
        rs.replay(corpus, POOL, wanted)


def test_arguments_of_wrong_names_types_and_order_are_refused(corpus: Corpus) -> None:
    wrong: Any = {"exploraton": 1.0}
    with pytest.raises(PolicyError, match=r"ucb1 has no parameter .*mean 'exploration'\?"):
        ucb1(POOL, **wrong)
    wrong = {"exploration": "much"}
    with pytest.raises(PolicyError, match="ucb1: exploration is 'much'; a number is needed"):
        ucb1(POOL, **wrong)
    swapped: Any = (corpus, POOL)
    for make in (threshold, ridge, cascade):
        with pytest.raises(
            PolicyError,
            match=r"pool and, optionally, a corpus, in this order; its pool is a Corpus",
        ):
            make(*swapped)
    with pytest.raises(
        PolicyError, match=r"make_policy takes a pool, .*; its pool is a list, not an"
    ):
        make_policy(["gpt-4"], "random")  # pyright: ignore[reportArgumentType]
    plain: Any = len
    with pytest.raises(PolicyError, match=r"choose is .*, not a kernel; .* with @choose_kernel"):
        Policy("mine", plain)
    with pytest.raises(PolicyError, match=r"learn is .*, not a kernel; .* with @learn_kernel"):
        replace(make_policy(POOL, "random"), learn=plain)


@pytest.mark.parametrize("wrong", [{"levels": 0}, {"bar": 1.1}, {"error": 1.0}, {"cost": -1.0}])
def test_a_judge_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(PolicyError, match="are needed"):
        Judge(**{"levels": 2, **wrong})


def test_a_recipe_of_ones_own_is_one_of_the_recipes() -> None:
    @recipe("always-first")
    def always_first(pool: AgentPool, corpus: Corpus | None = None, *, k: int = 0) -> Policy:
        """The first agent, always."""
        return make_policy(pool, f"static:{pool.ids[k]}")

    found = recipes()["always-first"]
    assert (found.summary, found.parameters) == ("The first agent, always.", {"k": 0})
    assert make_policy(POOL, "always-first:k=1").name == f"static:{POOL.ids[1]}"


def test_a_function_of_other_arguments_is_refused_before_it_is_run() -> None:
    said = r"policy <lambda> is called with \(task, pool, memory\), and takes \(task, pool\)"
    with pytest.raises(PolicyError, match=said):
        make_policy(load_agents(), lambda task, pool: 0)
    assert make_policy(load_agents(), lambda task, pool, *rest: 0).interpreted


def test_a_sentence_names_agent_complexity_and_load() -> None:
    said = sentence("{agent.id} at {d_var:.2f}, {load:.1f}")
    assert said(POOL.agents[0], 0.456, 0.25) == f"{POOL.ids[0]} at 0.46, 0.2"


# -- copied, and in another process ---------------------------------------------------


@choose_kernel
def last(task, pool, memory):
    return pool.busy.size - 1


def plain_last(task, pool, memory):
    return pool.busy.size - 1


def specs() -> list[str]:
    names = sorted(set(recipes()) - {"file", "static", "always-first", "logged"})
    return [*names, "static:gpt-4", "threshold:calibrated"]


def alike(one: Policy, others: list[Policy], corpus: Corpus) -> None:
    """Hold policies to the choices and the words of one."""
    texts = corpus.tasks["text"].tolist()[:5]
    asked = [None if ask is None else ask(texts, [""] * 5) for ask in (one.predict, one.featurize)]
    for other in others:
        assert (other.choose, other.learn) == (one.choose, one.learn)
        assert other.choose.python is one.choose.python
        assert (other.name, other.judge, other.learns, other.fitted_on) == (
            one.name, one.judge, one.learns, one.fitted_on,
        )  # fmt: skip
        np.testing.assert_array_equal(other.memory, one.memory)
        for agent in POOL:
            assert other.reason(agent, 0.4, 0.5) == one.reason(agent, 0.4, 0.5)
        for again, told in zip((other.predict, other.featurize), asked, strict=True):
            assert (again is None) == (told is None)
            if again is not None:
                np.testing.assert_array_equal(again(texts, [""] * 5), told)


@pytest.mark.slow
@pytest.mark.parametrize("spec", specs())
def test_a_policy_is_copied_and_pickled(spec: str, corpus: Corpus) -> None:
    policy = make_policy(POOL, spec, corpus)
    deep = copy.deepcopy(policy)
    alike(policy, [copy.copy(policy), deep, pickle.loads(pickle.dumps(policy))], corpus)
    assert deep.memory is not policy.memory


def test_a_policy_from_a_plain_function_or_a_kernel_of_ones_own_is_pickled(corpus: Corpus) -> None:
    for mine in (last, plain_last):
        policy = make_policy(POOL, mine)
        again = pickle.loads(pickle.dumps(policy))
        alike(policy, [again], corpus)
        assert again.interpreted is policy.interpreted


SPAWN = """
import multiprocessing
import numpy as np
import routingsim as rs
from routingsim.policies import make_policy


@rs.choose_kernel
def mine(task, pool, memory):
    return task.index % pool.busy.size


def replayed(policy):
    run = rs.replay(rs.load_corpus("tasks").head(40), rs.load_agents(), policy, seed=2)
    return policy.name, run.log.agent.tolist()


if __name__ == "__main__":
    pool, corpus = rs.load_agents(), rs.load_corpus("tasks").head(40)
    given = ("threshold:calibrated", "thompson", mine)
    policies = [make_policy(pool, each, corpus) for each in given]
    with multiprocessing.get_context("spawn").Pool(1) as processes:
        assert processes.map(replayed, policies) == [replayed(policy) for policy in policies]
    print("alike")
"""


@pytest.mark.slow
def test_a_spawned_process_is_handed_policies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "spawn.py"
    script.write_text(SPAWN)
    runpy.run_path(str(script), run_name="__main__")
    assert capsys.readouterr().out == "alike\n"


# -- of other packages, by entry point: two packages as they are installed --------------


MODULE = '''
from routingsim.policies import Policy, choose_kernel


@choose_kernel
def last(task, pool, memory):
    return pool.busy.size - 1


def make(pool, corpus=None):
    """Always the last agent."""
    return Policy("always-last", last)
'''


def install(site: Path, module: str, policy: str, code: str) -> None:
    """Lay a package that names a policy where a package manager would."""
    (site / f"{module}.py").write_text(code)
    installed = site / f"{module}-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    named = f"[routingsim.policies]\n{policy} = {module}:make\n"
    (installed / "entry_points.txt").write_text(named)


@pytest.fixture
def plugged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A plug-in with a policy, and one that cannot be imported."""
    install(tmp_path, "lastly", "always-last", MODULE)
    install(tmp_path, "broken", "never", "import a_module_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    _plugged_in.cache_clear()
    yield
    _plugged_in.cache_clear()
    sys.modules.pop("lastly", None)


@pytest.mark.slow
@pytest.mark.usefixtures("plugged_in")
def test_a_plug_in_adds_a_policy_and_a_broken_one_is_named_and_harms_no_other() -> None:
    listed = in_process("policies").stdout
    assert "Always the last agent." in listed
    assert "cannot be loaded from broken" in listed
    assert in_process("route", "Hi", "--policy", "always-last").stdout.startswith(
        "Routed to Mistral"
    )
    assert in_process("route", "Hi", "--policy", "cheapest").returncode == 0
    refused = in_process("route", "Hi", "--policy", "never")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("error: policy 'never' cannot be loaded from broken")
    assert "Traceback" not in refused.stderr
