"""The contract that every registered policy keeps, and the kernels it is written in."""

import copy
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import cloudpickle

from routingsim.agents import Agent, AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.corpora.datasets import load_corpus
from routingsim.errors import PolicyError
from routingsim.policies import make_policy, recipes
from routingsim.policies.kernel import (
    FAILED,
    LEARN,
    OK,
    SHED,
    TIMED_OUT,
    Kernel,
    Outcome,
    PoolView,
    TaskView,
    certain,
    choose_kernel,
    draw,
    learn_kernel,
    no_learning,
    pickled_by_value,
    unknown,
)
from routingsim.policies.policy import Policy

VARIANTS = ("threshold:calibrated", "threshold:low=0.2,medium=0.4,spill=1", "weighted:capacity")
# "file" loads a saved policy (test_storage.py), "logged" reads a log (test_assignment.py).
RECIPES = sorted(set(recipes()) - {"file", "logged"})
POLICIES = sorted({*RECIPES, *VARIANTS})
SIZES = (1, 2, 5, 40)


@pytest.fixture(scope="session")
def corpus(request: pytest.FixtureRequest) -> Corpus:
    """Some of our own tasks, with made-up qualities for policies that are fitted."""
    tasks = load_corpus(str(request.config.rootpath / "data" / "tasks.jsonl")).head(60)
    qualities = np.random.default_rng(1).random((len(tasks), max(SIZES)))
    columns = {f"outcomes.a{a}.quality": qualities[:, a] for a in range(max(SIZES))}
    return Corpus.from_frame(tasks.to_frame().assign(**columns), tasks.name)


def pool_of(size: int) -> AgentPool:
    """Agents who differ in everything that a rule may go by, some of them equal."""
    return AgentPool(
        tuple(
            Agent(
                id=f"a{a}",
                name=f"Agent {a}",
                cost=(7 * a % 5) / 10,
                latency=1.0 + (3 * a % 4),
                concurrency=1 + a % 3,
            )
            for a in range(size)
        )
    )


def made(name: str, pool: AgentPool, corpus: Corpus) -> Policy:
    spec = f"static:{pool.ids[-1]}" if name == "static" else name
    return make_policy(pool, spec, corpus)


def task_view(index: int = 0, attempt: int = 0, d_var: float = 0.5, key: int = 1) -> TaskView:
    """A task without features and predictions."""
    wide = np.uint64(key)
    return TaskView(
        index=index,
        attempt=attempt,
        time=float(index),
        d_var=d_var,
        prompt_tokens=10.0,
        category=-1,
        stream=wide,
        features=np.zeros(0),
        predicted=np.zeros(0),
    )


def pool_view(pool: AgentPool, busy=None, queued=None, up=None, wait=None) -> PoolView:
    """An idle pool, but for what is given."""
    size = len(pool)
    return PoolView(
        busy=np.zeros(size, np.int64) if busy is None else np.array(busy, np.int64),
        queued=np.zeros(size, np.int64) if queued is None else np.array(queued, np.int64),
        slots=pool.column("concurrency").astype(np.int64),
        cost=pool.column("cost"),
        wait=np.zeros(size) if wait is None else np.array(wait, np.float64),
        service=pool.column("latency"),
        up=np.ones(size, np.int64) if up is None else np.array(up, np.int64),
        room=np.ones(size),
        first_token=pool.column("latency"),
        speed=np.ones(size),
    )


def moment(rng: np.random.Generator, pool: AgentPool) -> tuple[TaskView, PoolView]:
    """A random task and the pool it meets, in which one agent is up at least."""
    size = len(pool)
    up = rng.integers(0, 2, size)
    up[rng.integers(size)] = 1
    task = task_view(
        index=int(rng.integers(50)),
        attempt=int(rng.integers(3)),
        d_var=float(rng.random()),
        key=int(rng.integers(2**64, dtype=np.uint64)),
    )
    waits = rng.choice([0.0, 0.5, 3.0], size)
    return task, pool_view(pool, rng.integers(0, 4, size), rng.integers(0, 4, size), up, waits)


# -- every policy -------------------------------------------------------------------


@pytest.fixture(scope="module", params=POLICIES)
def fitted(request: pytest.FixtureRequest, corpus: Corpus) -> list[tuple[AgentPool, Policy]]:
    """One policy for pools of several sizes."""
    pools = [pool_of(size) for size in SIZES]
    return [(pool, made(request.param, pool, corpus)) for pool in pools]


@pytest.mark.slow
@settings(max_examples=15)
@given(seed=st.integers(0, 2**32))
def test_an_agent_that_is_up_is_chosen_compiled_as_interpreted(
    fitted: list[tuple[AgentPool, Policy]], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    for pool, policy in fitted:
        compiled, plain = policy.memory.copy(), policy.memory.copy()
        for _ in range(3):
            task, seen = moment(rng, pool)
            chosen = policy.choose(task, seen, compiled)
            assert chosen == policy.choose.python(task, seen, plain)
            assert 0 <= chosen < len(pool)
            assert seen.up[chosen] or policy.name.startswith("static:")
            status = int(rng.choice([OK, FAILED, TIMED_OUT, SHED]))
            outcome = Outcome(status, 0.5, 1.0, 1.5, 0.1, 0.8 if status == OK else math.nan)
            policy.learn(task, chosen, outcome, seen, compiled)
            policy.learn.python(task, chosen, outcome, seen, plain)
            np.testing.assert_array_equal(compiled, plain)


@pytest.mark.slow
@settings(max_examples=5)
@given(seed=st.integers(0, 2**32))
def test_probabilities_are_those_of_the_choices(
    fitted: list[tuple[AgentPool, Policy]], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    for pool, policy in fitted:
        memory = policy.memory.copy()
        for _ in range(6):  # a state that is met
            task, seen = moment(rng, pool)
            chosen = policy.choose(task, seen, memory)
            outcome = Outcome(OK, 0.5, 1.0, 1.5, 0.1, float(rng.random()))
            policy.learn(task, chosen, outcome, seen, memory)
        task, seen = moment(rng, pool)
        out, plain = np.empty(len(pool)), np.empty(len(pool))
        draws = 20 if policy.probabilities is certain else 400
        before = memory.copy()
        policy.probabilities(task, seen, memory, out)
        policy.probabilities.python(task, seen, memory, plain)
        np.testing.assert_array_equal(out, plain)
        np.testing.assert_array_equal(memory, before)
        keys = rng.integers(2**64, size=draws, dtype=np.uint64)
        tasks, choose = [task._replace(stream=key) for key in keys], policy.choose.entry
        found = [choose(each, seen, memory.copy()) for each in tasks]
        share = np.bincount(found, minlength=len(pool)) / draws
        if policy.probabilities is certain:
            assert share.max() == 1.0
        elif policy.probabilities is unknown:
            assert np.isnan(out).all()
        else:
            assert out.sum() == pytest.approx(1.0)
            assert (np.abs(share - out) <= 6 * np.sqrt(out * (1 - out) / draws) + 0.01).all()


def test_only_posterior_draws_have_no_known_probabilities(corpus: Corpus) -> None:
    pool = pool_of(5)
    found = {name for name in RECIPES if made(name, pool, corpus).probabilities is unknown}
    assert found == {"thompson"}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_is_made_alike_twice_and_by_its_own_name(
    name: str, size: int, corpus: Corpus
) -> None:
    pool = pool_of(size)
    one, two = made(name, pool, corpus), made(name, pool, corpus)
    again = make_policy(pool, one.name, corpus)
    for other in (two, again):
        assert other.name == one.name
        assert other.choose is one.choose
        np.testing.assert_array_equal(other.memory, one.memory)


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_has_words_for_what_it_does(name: str, corpus: Corpus) -> None:
    pool = pool_of(5)
    policy = made(name, pool, corpus)
    for agent in pool:
        for d_var in (0.1, 0.4, 0.9):
            assert f"Routed to {agent.name}" in policy.reason(agent, d_var, 0.5)
    assert repr(policy) == f"Policy({policy.name!r})"


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_says_in_a_line_what_it_does(name: str) -> None:
    recipe = recipes()[name]
    assert recipe.name == name
    assert recipe.summary.endswith(".")


# -- kernels ------------------------------------------------------------------------


def test_a_tasks_draws_begin_with_its_uniform() -> None:
    task = task_view(key=2**63 + 5)
    assert draw(task, 0) == task.uniform
    assert len({draw(task, part) for part in range(10)}) == 10


@choose_kernel
def counting(task, pool, memory):
    memory[0] += 1
    return int(memory[0]) % pool.busy.size


@pytest.mark.slow
def test_a_kernel_is_plain_to_read_and_compiled_to_run() -> None:
    memory = np.zeros(1)
    view = pool_view(pool_of(3))
    assert [counting(task_view(), view, memory) for _ in range(4)] == [1, 2, 0, 1]
    assert counting.python(task_view(), view, memory) == 2
    assert memory[0] == 5
    assert counting.compiled is counting.compiled


def test_a_view_without_what_is_not_known_says_nothing_of_it() -> None:
    zeros, none = np.zeros(1), np.zeros(1, np.int64)
    view = PoolView(none, none, none, zeros, zeros, zeros, none)  # as it was before these fields
    assert [view.room.size, view.first_token.size, view.speed.size] == [0, 0, 0]
    assert math.isnan(Outcome(OK, 0.0, 1.0, 1.0, 0.0, 1.0).first_token)


def test_not_learning_changes_nothing() -> None:
    memory = np.arange(3.0)
    outcome = Outcome(OK, 0.0, 1.0, 1.0, 0.0, 1.0)
    assert no_learning(task_view(), 0, outcome, pool_view(pool_of(2)), memory) is None
    assert memory.tolist() == [0, 1, 2]


@pytest.mark.slow
def test_what_numba_cannot_compile_is_said_to_run_interpreted() -> None:
    @choose_kernel
    def wordy(task, pool, memory):
        return len(open("nowhere").read())

    with pytest.raises(PolicyError, match=r"'wordy' cannot be compiled .*interpreted=True"):
        wordy(task_view(), pool_view(pool_of(2)), np.zeros(1))


@pytest.mark.slow
def test_a_learn_kernel_must_not_answer() -> None:
    def answering(task, agent, outcome, pool, memory):
        return 1

    with pytest.raises(PolicyError, match="'answering' cannot be compiled"):
        _ = Kernel(answering, LEARN).compiled


@pytest.mark.slow
def test_a_kernel_typed_at_a_prompt_compiles() -> None:
    text = "def last(task, pool, memory):\n    return pool.busy.size - 1\n"
    space: dict = {}
    exec(compile(text, "<stdin>", "exec"), space)
    assert choose_kernel(space["last"])(task_view(), pool_view(pool_of(4)), np.zeros(1)) == 3


# -- copied and pickled ---------------------------------------------------------------


def undecorated(task, pool, memory):
    return 1


def forgetting(task, agent, outcome, pool, memory):
    memory[:] = 0.0


wrapped = choose_kernel(undecorated)
unnamed = choose_kernel(lambda task, pool, memory: 0)


class Fixed:
    """A policy that is an object."""

    def __init__(self, agent: int) -> None:
        self.agent = agent

    def __call__(self, task, pool, memory):
        return self.agent


@pytest.mark.parametrize("kernel", [counting, no_learning, certain])
def test_a_kernel_pickles_as_a_name(kernel: Kernel) -> None:
    _ = kernel.compiled
    packed = pickle.dumps(kernel)
    assert len(packed) < 200
    assert kernel.name.encode() in packed
    assert pickle.loads(packed) is kernel
    assert copy.deepcopy([kernel, copy.copy(kernel)]) == [kernel, kernel]


def test_a_kernel_made_of_a_named_function_pickles() -> None:
    again = pickle.loads(pickle.dumps(wrapped))
    assert again == wrapped
    assert again.python is undecorated
    learner = learn_kernel(forgetting)
    assert pickle.loads(pickle.dumps(learner)) == learner
    assert learner.signature == LEARN


def test_a_kernel_of_an_object_pickles_with_the_object() -> None:
    again = pickle.loads(pickle.dumps(choose_kernel(Fixed(3))))
    assert again.python.agent == 3


def test_a_kernel_without_a_name_of_its_own_says_where_to_define_it() -> None:
    @choose_kernel
    def local(task, pool, memory):
        return 0

    space = {"__name__": "nowhere"}
    exec("def stray(task, pool, memory):\n    return 0\n", space)
    for kernel in (local, unnamed, choose_kernel(space["stray"])):  # pyright: ignore
        with pytest.raises(PolicyError, match=r"cannot be pickled: .* at module level, under that"):
            pickle.dumps(kernel)
        assert copy.deepcopy(kernel) is kernel


@pytest.mark.slow
def test_cloudpickle_takes_kernels_without_a_name_by_value() -> None:
    offset = 1
    local = choose_kernel(lambda task, pool, memory: pool.busy.size - offset)
    with pickled_by_value():
        packed = cloudpickle.dumps([local, counting])
    again, named = pickle.loads(packed)
    assert again(task_view(), pool_view(pool_of(4)), np.zeros(1)) == 3
    assert named is counting
    with pytest.raises(PolicyError, match="cannot be pickled"):
        cloudpickle.dumps(local)
