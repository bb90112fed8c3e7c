"""Agents, pools (agents.pool), and the files they are read from (agents.loading)."""

import copy
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from routingsim.agents import Agent, AgentPool, builtin_pools, load_agents
from routingsim.errors import AgentError

HEAD = '[[agents]]\nid = "a"\nname = "A"\ncost = 0.1\nlatency = 1.0\n'


def agent(name: str = "a", **knobs) -> Agent:
    return Agent(id=name, name=name.upper(), **{"cost": 0.5, "latency": 2.0, **knobs})


# -- pools that come with routingsim ------------------------------------------------


def test_the_five_default_agents() -> None:
    pool = load_agents()
    assert pool.ids == ("claude", "gpt-4", "gemini", "llama", "mistral")
    gpt4 = pool.agents[1]
    assert (gpt4.name, gpt4.strengths) == ("GPT-4", ("code", "reasoning"))
    assert (gpt4.cost, gpt4.latency) == (0.03, 2.5)
    assert load_agents("default") == pool


@pytest.mark.parametrize("name", builtin_pools())
def test_builtin_pools_load_by_name_and_by_path(name: str) -> None:
    pool = load_agents(name)
    assert len(pool) > 1
    assert load_agents(builtin_pools()[name]) == pool
    assert load_agents(str(builtin_pools()[name])) == pool


# -- one agent ----------------------------------------------------------------------


def test_an_agent_needs_little() -> None:
    plain = agent()
    assert (plain.concurrency, plain.queue_limit, plain.patience) == (4, None, None)
    assert plain.recorded_as == "a"
    assert agent(outcome="gpt-4-1106").recorded_as == "gpt-4-1106"


def test_an_agent_goes_over_the_wire_with_five_fields() -> None:
    info = agent(strengths=("code",), patience=3.0).info
    assert msgspec.to_builtins(info) == {
        "name": "A",
        "id": "a",
        "strengths": ("code",),
        "cost": 0.5,
        "latency": 2.0,
    }


@pytest.mark.parametrize("field", ["cost", "latency", "latency_cv", "ttft", "patience"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_are_finite(field: str, value: float) -> None:
    with pytest.raises(
        AgentError, match=rf"field {field}: (Expected|a finite number).*found {value}"
    ):
        agent("a", **{field: value})


def test_the_token_model_needs_a_speed() -> None:
    with pytest.raises(AgentError, match="needs tokens_per_second"):
        agent(service="tokens", ttft=0.2)
    assert agent(service="tokens", tokens_per_second=50.0).ttft is None


# -- a pool -------------------------------------------------------------------------


def test_a_pool_is_indexed_by_id_number_and_slice() -> None:
    pool = AgentPool((agent("a"), agent("b"), agent("c")))
    assert pool["b"] is pool[1] is pool.agents[1]
    assert pool[-1] is pool["c"]
    assert pool[1:] == AgentPool((agent("b"), agent("c")))
    assert [a.id for a in pool] == ["a", "b", "c"]
    assert pool.index("c") == pool.index(pool.agents[2]) == 2
    assert agent("b") in pool
    assert repr(pool) == "AgentPool(a, b, c)"


def test_an_agent_that_is_not_there_is_named_with_those_that_are() -> None:
    pool = AgentPool((agent("a"), agent("b")))
    with pytest.raises(AgentError, match="no agent 'x' in this pool: it has a, b"):
        pool["x"]
    with pytest.raises(IndexError):
        pool[2]


def test_a_pool_has_agents_of_different_ids() -> None:
    with pytest.raises(AgentError, match="at least one agent"):
        AgentPool(())
    with pytest.raises(AgentError, match="agent id 'b' occurs twice"):
        AgentPool((agent("a"), agent("b"), agent("b")))


def test_columns_hold_nan_where_nothing_is_set() -> None:
    pool = AgentPool((agent("a", patience=3.0), agent("b")))
    np.testing.assert_array_equal(pool.column("patience"), [3.0, math.nan])
    assert pool.column("concurrency").dtype == np.float64


def test_capacity_is_what_all_slots_serve() -> None:
    assert AgentPool((agent("a"), agent("b", concurrency=1, latency=0.5))).capacity == 4.0


def test_a_pool_shows_itself() -> None:
    pool = AgentPool((agent("a", strengths=("<b>code</b>",)), agent("b")))
    assert list(pool.to_frame()["id"]) == ["a", "b"]
    assert set(pool.to_frame().columns) == set(Agent.__struct_fields__)
    shown = pool._repr_html_()
    assert shown == pool.to_html()
    assert shown.count("<tr") == 3
    assert "&lt;b&gt;code" in shown
    assert agent()._repr_html_() == AgentPool((agent(),)).to_html()
    assert pool.to_markdown().splitlines() == [
        "| agent | id | USD / 1,000 tokens | service (s) | slots | strengths |",
        "| --- | --- | ---: | ---: | ---: | --- |",
        "| A | a | 0.5 | 2 ± 1 | 4 | \\<b\\>code\\</b\\> |",
        "| B | b | 0.5 | 2 ± 1 | 4 |  |",
    ]


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda pool: pickle.loads(pickle.dumps(pool))]
)
def test_copies_of_a_pool_are_equal(again: Callable[[AgentPool], AgentPool]) -> None:
    pool = AgentPool((agent("a", patience=3.0), agent("b")))
    assert pool.ids == ("a", "b")
    assert again(pool) == pool
    assert again(pool).index("b") == 1


# -- pools of Python values ---------------------------------------------------------


def test_a_pool_is_made_of_what_describes_one() -> None:
    pool = AgentPool((agent("a", strengths=("code",), patience=3.0), agent("b")))
    fields = {"id": "b", "name": "B", "cost": 0.5, "latency": 2.0}
    assert load_agents(pool) is pool
    assert load_agents(pool.to_dict()) == pool
    assert load_agents([pool.agents[0], fields]) == pool
    assert load_agents({agent.id: agent for agent in pool}) == pool
    assert load_agents(iter(pool)) == pool
    assert pool.to_dict()["agents"][1] == fields | {
        "strengths": (),
        "latency_cv": 0.5,
        "service": "lognormal",
        "output_tokens": 300.0,
        "concurrency": 4,
        "error_rate": 0.0,
    }


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (3, "agents: expected a name, a path, a dict, or a list of agents, found int"),
        (agent(), "agents: expected a name, a path, a dict, or a list of agents, found Agent"),
        (["gpt-4"], "agents: agent 1: Expected `object`, got `str`"),
        ([], "agents: a pool needs at least one agent, and this one has none"),
        ([agent(), agent()], "agents: agent id 'a' occurs twice: ids must differ"),
        (
            {"gpt-4": {}},
            "agents: Object contains unknown field `gpt-4`; each agent is a table [[agents]]",
        ),
        (
            [agent(), {"id": "b", "name": "B", "cost": -1, "latency": 2}],
            "agents: agent 2 (b), field cost: Expected `float` >= 0.0, found -1",
        ),
    ],
)
def test_what_cannot_be_a_pool_is_named(source: Any, said: str) -> None:
    with pytest.raises(AgentError) as caught:
        load_agents(source)
    assert str(caught.value) == said


def test_a_pool_holds_agents_only() -> None:
    with pytest.raises(AgentError, match=r"^a pool holds agents, not 'gpt-4'; load_agents takes"):
        AgentPool(("gpt-4",))  # pyright: ignore[reportArgumentType]


# -- files --------------------------------------------------------------------------


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_all_fields_are_read(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        HEAD + 'strengths = ["code"]\nlatency_cv = 1.5\nservice = "tokens"\nttft = 0.3\n'
        "tokens_per_second = 50\noutput_tokens = 200\nconcurrency = 2\nqueue_limit = 0\n"
        'patience = 30\nerror_rate = 0.01\nrequests_per_minute = 60\noutcome = "other"\n',
    )
    assert load_agents(path).agents == (
        Agent(
            id="a",
            name="A",
            cost=0.1,
            latency=1.0,
            strengths=("code",),
            latency_cv=1.5,
            service="tokens",
            ttft=0.3,
            tokens_per_second=50.0,
            output_tokens=200.0,
            concurrency=2,
            queue_limit=0,
            patience=30.0,
            error_rate=0.01,
            requests_per_minute=60,
            outcome="other",
        ),
    )


SECOND = HEAD.replace('"a"', '"b"')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD + SECOND.replace("0.1", "-1"), r"agent 2 \(b\), field cost: .* >= 0"),
        (HEAD + "concurrency = 0\n", r"agent 1 \(a\), field concurrency: .* >= 1"),
        (HEAD + "concurrency = 1.5\n", r"agent 1 \(a\), field concurrency: Expected `int`"),
        (HEAD + "error_rate = 1.0\n", r"agent 1 \(a\), field error_rate: .* < 1"),
        (HEAD + "queue_limit = -1\n", r"agent 1 \(a\), field queue_limit: .* >= 0"),
        (HEAD + 'patience = "long"\n', r"agent 1 \(a\), field patience: Expected .*float"),
        (HEAD + "patience = inf\n", r"agent a, field patience: a finite number"),
        (HEAD + "latency_cv = nan\n", r"agent 1 \(a\), .*latency_cv"),
        (
            HEAD + 'service = "token"\n',
            r"agent 1 \(a\), field service: Expected one of .*'token'; did you mean 'tokens'",
        ),
        (HEAD + 'service = "tokens"\n', r"agent a: .*needs tokens_per_second"),
        (
            HEAD + "price = 3\n",
            r"agent 1 \(a\), record: no field 'price': .*; did you mean 'cost'\?",
        ),
        (HEAD + "slots = 3\n", r"no field 'slots': .*; did you mean 'concurrency'\?"),
        (HEAD + "workers = 3\n", r"no field 'workers': .*; did you mean 'concurrency'\?"),
        (HEAD + "rpm = 3\n", r"no field 'rpm': .*; did you mean 'requests_per_minute'\?"),
        (HEAD + "max-queue = 3\n", r"no field 'max-queue': .*; did you mean 'queue_limit'\?"),
        (HEAD + "latencyy = 3\n", r"no field 'latencyy': .*; did you mean 'latency'\?"),
        (HEAD + "hat = 3\n", r"no field 'hat': .*, sharing, fallback, discipline, outcome$"),
        (HEAD + 'strengths = ["x", 3]\n', r"agent 1 \(a\), field strengths\[1\]: Expected `str`"),
        (HEAD.replace("cost = 0.1\n", ""), r"agent a, field cost: required"),
        (HEAD.replace('id = "a"\n', ""), r"agent 1, record: .*required field `id`"),
        (HEAD.replace('"a"', '"a b"'), r"agent 1 \(a b\), field id: .*matching regex"),
        (HEAD + HEAD, r"agent id 'a' occurs twice"),
        ("", r"missing required field `agents`"),
        ("agents = []\n", r"needs at least one agent"),
        ("agents = 3\n", r"Expected `array`, got `int`"),
        ("agents = [3]\n", r"agent 1: Expected `object`, got `int`"),
        ("[agents\n", r"Expected ']'|line 1"),
        ("speed = 3\n" + HEAD, r"unknown field `speed`"),
    ],
)
def test_errors_name_file_agent_and_field(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(AgentError, match=rf"^{path}: (?s:.*)({said})") as caught:
        load_agents(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_said_so_with_the_pools_that_are(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match=r"cannot be read .* of a pool: .*default") as caught:
        load_agents(tmp_path / "none.toml")
    assert all(name in str(caught.value) for name in builtin_pools())
    (tmp_path / "latin.toml").write_bytes(HEAD.replace("A", "É").encode("latin-1"))
    with pytest.raises(AgentError, match=r"latin.toml: is not UTF-8 text .*utf-8"):
        load_agents(tmp_path / "latin.toml")


# -- saving -------------------------------------------------------------------------


@pytest.mark.parametrize("name", builtin_pools())
def test_a_saved_pool_is_read_back_the_same(name: str, tmp_path: Path) -> None:
    pool = load_agents(name)
    path = pool.save(tmp_path / "mine.toml")
    assert path == tmp_path / "mine.toml"
    assert load_agents(path) == pool


def test_every_field_and_every_text_is_read_back_the_same(tmp_path: Path) -> None:
    odd = 'a "b" \\ c\n\t\x7f\x00 é 👍 # =[]'
    full = Agent(
        id="a/b.c_1",
        name=odd,
        strengths=(odd, ""),
        cost=1e-300,
        latency=0.1 + 0.2,
        latency_cv=0,
        service="tokens",
        ttft=1e20,
        tokens_per_second=1 / 3,
        output_tokens=7.0,
        concurrency=3,
        queue_limit=0,
        patience=2.5,
        error_rate=0.5,
        failures="recorded",
        requests_per_minute=10**12,
        outcome=odd,
    )
    pool = AgentPool((full, agent("b")))
    assert load_agents(pool.save(tmp_path / "x.toml")) == pool


def test_comments_stand_beside_their_fields_and_do_not_count() -> None:
    comments = {"a": {"": "made\nup", "latency": "measured"}, "z": {"": "nobody"}}
    pool = AgentPool((agent("a"), agent("b")), comments)
    assert pool == AgentPool((agent("a"), agent("b")))
    one, two = pool.to_toml().split("\n\n")
    assert one.startswith('# made up\n[[agents]]\nid = "a"\nname = "A"\ncost = 0.5\n')
    assert "\nlatency = 2.0  # measured\n" in one
    assert "#" not in two
    assert pool[:1].to_toml() == one + "\n"


def test_a_pool_is_saved_whole_or_not_at_all(tmp_path: Path) -> None:
    pool = AgentPool((agent("a"),))
    kept = pool.save(tmp_path / "mine.toml").read_text()
    with pytest.raises(AgentError, match=r"mine.csv: name an agents file with .toml at its end"):
        pool.save(tmp_path / "mine.csv")
    with pytest.raises(AgentError, match="cannot be written"):
        pool.save(tmp_path / "none" / "mine.toml")
    with pytest.raises(AgentError, match="a field cannot be written"):
        AgentPool((agent("b", strengths=("\ud800",)),)).save(tmp_path / "mine.toml")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]
    assert (tmp_path / "mine.toml").read_text() == kept


def test_numbers_of_arrays_are_taken_as_numbers() -> None:
    plain = Agent(id="a", name="A", cost=0.5, latency=2.0, concurrency=3)
    given: Any = {"cost": np.float32(0.5), "latency": np.float64(2), "concurrency": np.int64(3)}
    found = Agent(id="a", name="A", **given)
    assert found == plain
    assert type(found.concurrency) is int
    assert msgspec.structs.replace(plain, latency=np.float64(2)) == plain
    with pytest.raises(AgentError, match=r"field concurrency: Expected `int` >= 1, found 0$"):
        Agent(id="a", name="A", **given | {"concurrency": np.int64(0)})
