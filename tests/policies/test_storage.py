"""Policies in files: the same again, served live, and nothing a stranger could plant."""

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import routingsim as rs
from routingsim.agents import Agent, AgentPool
from routingsim.corpora.corpus import Corpus
from routingsim.errors import PolicyError
from routingsim.policies import load_policy, make_policy, save_policy
from routingsim.policies.bandit_base import BLOCKS, HEAD
from routingsim.policies.kernel import choose_kernel, learn_kernel
from routingsim.policies.policy import Policy
from routingsim.policies.qtable import LAYOUT

LEARNERS = ["epsilon-greedy:floor=0.1", "ucb1", "thompson:gaussian", "linucb:words=4",
            "fs-qmix:bounds=calibrated,own=true"]  # fmt: skip


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return rs.load_corpus("tasks")


@pytest.fixture(scope="module")
def pool() -> AgentPool:
    return rs.load_agents()


def taught(name: str, corpus: Corpus, pool: AgentPool) -> Policy:
    """A policy with something in its memory."""
    policy = make_policy(pool, name, corpus)
    return replace(policy, memory=rs.replay(corpus, pool, policy, seed=1).memory)


@pytest.mark.parametrize("name", LEARNERS)
def test_a_saved_policy_is_the_same_again(
    name: str, corpus: Corpus, pool: AgentPool, tmp_path: Path
) -> None:
    policy, path = taught(name, corpus, pool), tmp_path / "policy.npz"
    save_policy(pool, policy, path)
    again = load_policy(pool, path)
    assert (again.name, again.fitted_on, again.parameters) == (
        policy.name, policy.fitted_on, policy.parameters,
    )  # fmt: skip
    assert (again.choose, again.learn) == (policy.choose, policy.learn)
    np.testing.assert_array_equal(again.memory, policy.memory)
    before, after = (rs.replay(corpus, pool, each, seed=9) for each in (policy, again))
    np.testing.assert_array_equal(before.log.agent, after.log.agent)
    save_policy(pool, again, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["again.npz", "policy.npz"]


def test_a_file_is_a_policy_and_is_served_live(
    corpus: Corpus, pool: AgentPool, tmp_path: Path
) -> None:
    path = tmp_path / "policy.npz"
    policy = taught("fs-qmix:epsilon=0,floor=0", corpus, pool)
    save_policy(pool, policy, path)
    wanted = f"file:{path}"
    assert make_policy(pool, wanted).name == wanted
    live, made = rs.TaskRouter(pool, wanted), rs.TaskRouter(pool, policy)
    texts = corpus.tasks["text"].tolist()[:30]
    chosen = [[r.route(text, task_id=str(k)).agent.id for k, text in enumerate(texts)]
              for r in (live, made)]  # fmt: skip
    assert chosen[0] == chosen[1]
    live.complete("3", quality=0.0)
    assert not np.array_equal(live.memory, made.memory)  # it goes on learning

    second = tmp_path / "second.npz"
    path_then = path.read_bytes()
    save_policy(pool, replace(live.policy, memory=live.memory), second)
    path.unlink()
    np.testing.assert_array_equal(load_policy(pool, second).memory, live.memory)
    assert second.read_bytes() != path_then


def test_the_file_is_plain(corpus: Corpus, pool: AgentPool, tmp_path: Path) -> None:
    path = tmp_path / "policy.npz"
    policy = taught("ucb1", corpus, pool)
    save_policy(pool, policy, path)
    with np.load(path, allow_pickle=False) as found:
        np.testing.assert_array_equal(found["memory"], policy.memory)
        about = json.loads(found["policy.json"])
    assert about == {"format": 2, "policy": "ucb1", "agents": list(pool.ids), "fitted_on": []}


@pytest.mark.parametrize(
    ("name", "now"),
    [
        ("fs-qmix", "fs-qmix"),
        ("ucb1:gamma=0.9", "ucb1:gamma=0.9"),
        ("thompson:budget=0.01", "thompson:budget=0.01"),
        ("linucb", "linucb:exploration=0.5,ridge=1"),
        ("linucb:words=4,budget=0.1,ridge=2", "linucb:exploration=0.5,ridge=2,words=4,budget=0.1"),
    ],
)
def test_a_file_of_the_first_format_is_still_read(
    name: str, now: str, corpus: Corpus, pool: AgentPool, tmp_path: Path
) -> None:
    """It lacks what stands at the end of a memory now, and left out other defaults."""
    policy, agents = taught(now, corpus, pool), len(pool)
    end = policy.memory.size
    if name != "fs-qmix":
        end = HEAD + BLOCKS * agents
    if name.startswith("linucb"):
        d = int(policy.memory[end])
        end += 3 + 2 * d + agents * (d + d * d)
    old = policy.memory[:end]
    again = load_policy(pool, forged(tmp_path / "p.npz", old, format=1, policy=name))
    assert again.name == now
    np.testing.assert_array_equal(again.memory[:end], old)
    np.testing.assert_array_equal(again.memory[end:], make_policy(pool, now).memory[end:])
    assert again.memory.shape == policy.memory.shape
    rs.replay(corpus, pool, again, seed=9)
    with pytest.raises(PolicyError, match=r"holds float64 of shape"):
        load_policy(pool, forged(tmp_path / "q.npz", old[:-1], format=1, policy=name))


# -- what is refused ------------------------------------------------------------------


def forged(path: Path, memory: bytes | np.ndarray, **about: object) -> Path:
    if isinstance(memory, np.ndarray):
        buffer = io.BytesIO()
        np.save(buffer, memory)
        memory = buffer.getvalue()
    fields = {"format": 2, "policy": "fs-qmix", "agents": list(rs.load_agents().ids)}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("policy.json", json.dumps(fields | {"fitted_on": []} | about))
        archive.writestr("memory.npy", memory)
    return path


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"format": 1, "fitted_on": ["0f"]}, "format 1, which does not say on which texts it was"),
        ({"format": 3}, "saved in format 3; this version reads 1 and 2"),
        ({"agents": ["a", "b"]}, "saved for the agents a, b, in that order; this pool has claude"),
        ({"agents": 3}, "not a saved policy: Expected `array`"),
        ({"policy": "nobody"}, "no policy 'nobody'"),
        ({"policy": "ucb1"}, r"holds float64 of shape \(\d+,\) and ucb1 needs"),
        ({"policy": "file:other.npz"}, "names another file, 'file:other.npz'"),
    ],
)
def test_a_file_of_something_else_says_so(
    about: dict, said: str, pool: AgentPool, tmp_path: Path
) -> None:
    path = forged(tmp_path / "p.npz", make_policy(pool, "fs-qmix").memory, **about)
    with pytest.raises(PolicyError, match=said):
        load_policy(pool, path)


@pytest.mark.parametrize(
    "memory",
    [
        np.zeros(3),
        np.zeros((2, 2)),
        np.array([print], dtype=object),
        b"\x93NUMPY\x01\x00",
        b"",
        b"\x93NUMPY\x01\x00F\x00{'descr': '<f8', 'fortran_order': False, 'shape': (9,)}",
    ],
)
def test_a_memory_of_something_else_is_not_read(
    memory: bytes | np.ndarray, pool: AgentPool, tmp_path: Path
) -> None:
    path = forged(tmp_path / "p.npz", memory)
    with pytest.raises(PolicyError, match=r"p\.npz: (not a saved policy|holds)"):
        load_policy(pool, path)


@pytest.mark.parametrize("cut", [0, 10, 200, -30])
def test_half_a_file_is_refused(cut: int, corpus: Corpus, pool: AgentPool, tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    save_policy(pool, taught("fs-qmix", corpus, pool), path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(PolicyError, match="not a saved policy"):
        load_policy(pool, path)


def test_a_damaged_byte_is_noticed(corpus: Corpus, pool: AgentPool, tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    save_policy(pool, taught("fs-qmix", corpus, pool), path)
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(PolicyError, match="not a saved policy"):
        load_policy(pool, path)


def test_a_layout_that_would_lead_a_kernel_astray_is_refused(
    pool: AgentPool, tmp_path: Path
) -> None:
    memory = make_policy(pool, "fs-qmix").memory.copy()
    memory[LAYOUT] = 1e6
    with pytest.raises(PolicyError, match="not laid out as that of fs-qmix"):
        load_policy(pool, forged(tmp_path / "p.npz", memory))


def test_a_path_is_needed_and_must_exist(pool: AgentPool, tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="file needs the path of a saved policy"):
        make_policy(pool, "file")
    with pytest.raises(PolicyError, match=r"nothing\.npz: no such file"):
        make_policy(pool, f"file:{tmp_path / 'nothing.npz'}")


def test_only_what_its_name_makes_again_is_saved(
    corpus: Corpus, pool: AgentPool, tmp_path: Path
) -> None:
    path = tmp_path / "p.npz"
    choose = choose_kernel(lambda task, pool, memory: 0)
    own = Policy("mine", choose, learn_kernel(lambda task, agent, outcome, pool, memory: None))
    small = AgentPool((Agent(id="one", name="One", cost=1.0, latency=1.0),))
    for policy, given, said in [
        (make_policy(pool, "threshold:calibrated", corpus), pool, "learns nothing"),
        (own, pool, "'mine' makes no policy for this pool.*register yours with @recipe"),
        (make_policy(pool, "ucb1"), small, "'ucb1' makes another policy for this pool"),
        (replace(make_policy(pool, "ucb1"), name="linucb"), pool, "makes another policy"),
    ]:
        with pytest.raises(PolicyError, match=said):
            save_policy(given, policy, path)
    with pytest.raises(PolicyError, match="cannot be written"):
        save_policy(pool, make_policy(pool, "ucb1"), tmp_path / "no" / "folder.npz")
    assert not list(tmp_path.iterdir())
