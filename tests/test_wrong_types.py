"""Arguments of wrong types: each works, or gets one error that says what is needed."""

import copy
import inspect
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import routingsim as rs
from routingsim.errors import wrong_type
from routingsim.evaluation.loads import several
from routingsim.policies.policy import make_policy
from routingsim.simulation.conditions import DEFAULTS

POOL: Any = rs.load_agents()
CORPUS: Any = rs.load_corpus("tasks").head(40)


def played(**given: Any) -> Any:
    settings: dict[str, Any] = {"arrivals": "poisson:2"}
    return rs.replay(CORPUS, POOL, **settings | given)


def asked(**given: Any) -> Any:
    settings: dict[str, Any] = {"slots": {"mistral": [1]}, "arrivals": "poisson:1"}
    return rs.capacity(CORPUS, POOL, "threshold", **settings | given)


def routed(**given: Any) -> Any:
    return rs.TaskRouter(POOL, **given)


REFUSED: tuple[tuple[Callable[[], Any], str], ...] = (
    (
        lambda: make_policy(POOL, dict),  # type: ignore[arg-type]
        "<class 'dict'> is a type, not a policy: give a name such as 'threshold' or "
        "'static:gpt-4', a Policy, a kernel, or a function of task, pool and memory",
    ),
    (lambda: played(tenants=3), "tenants: 3 is an int; write rs.Tenant('acme', weight=2)"),
    (lambda: played(retries=3), "retries: 3 is an int; write rs.Retries(attempts=3)"),
    (
        lambda: played(outages="gpt-4"),
        "outages: 'gpt-4' is a str; write [rs.Outage('gpt-4', 600, 900)]",
    ),
    (
        lambda: rs.stream_corpus(3),  # type: ignore[arg-type]
        "stream_corpus: 3 is an int; the path of a file or folder is needed",
    ),
    (lambda: played(hedge=2.0), "hedge: 2.0 is a float; write rs.Hedge(after=2.0)"),
    (
        lambda: rs.parse_arrivals(3),  # type: ignore[arg-type]
        "arrivals is an int: give a process such as rs.Poisson(4), a text such as 'poisson:4', or "
        "times as rs.Trace(times)",
    ),
    (
        lambda: rs.MMPP(3, 3),  # type: ignore[arg-type]
        "MMPP: rates is 3, needs a list, each of them a number of at least 0 (arrivals a second)",
    ),
    (lambda: asked(slo=["p95=9"]), "slo: ['p95=9'] is a list; write {'latency_p95': 2.0}"),
    (lambda: rs.AgentPool(3), "agents: 3 is an int; a list of rs.Agent is needed"),  # type: ignore[arg-type]
    (lambda: POOL.column("costs"), "no field 'costs' of an agent; did you mean 'cost'?"),
    (lambda: POOL.column(3), "no field 3 of an agent"),
    (lambda: CORPUS.head("3"), "n is '3'; a whole number of tasks is needed"),
    (lambda: CORPUS.sample(3.5, 0), "n is 3.5; a whole number of tasks is needed"),
    (lambda: CORPUS.sample(3, "x"), "seed is 'x'; a whole number of 0 or more is needed"),
    (lambda: CORPUS.sample(41, 0), "cannot draw 41 of 40 tasks"),
    (lambda: CORPUS.split("x", 0), "fraction is 'x'; allowed is 0 to 1"),
    (
        lambda: CORPUS.outcome("cost", "gpt-4"),
        "agents: 'gpt-4' is a str; a list of names is needed",
    ),
    (
        lambda: CORPUS.with_arrivals(3),
        "trace: 3 is an int; a corpus with arrival times is needed",
    ),
    (lambda: routed(seed="x"), "seed='x': a whole number is needed"),
    (lambda: routed(publisher=3), "publisher: 3 is an int; a Publisher is needed"),
    (
        lambda: routed().route_batch(3),
        "route_batch takes a corpus or a list of texts; route takes one",
    ),
    (
        lambda: rs.write_report(3, "report.md"),  # type: ignore[arg-type]
        "a report: 3 is an int; results of rs.replay are needed, or one of rs.compare, "
        "rs.capacity or a log",
    ),
    (
        lambda: rs.write_report("abc", "report.md"),  # type: ignore[arg-type]
        "a report: 'abc' is a str; results of rs.replay are needed, or one of rs.compare, "
        "rs.capacity or a log",
    ),
    (
        lambda: rs.write_report([], "report.md"),
        "a report needs a result or more, and was given none",
    ),
)


@pytest.mark.parametrize(("call", "said"), REFUSED)
def test_a_wrong_type_gets_one_error(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(rs.RoutingSimError) as raised:
        call()
    assert str(raised.value) == said


def test_a_message_is_one_line_of_any_value() -> None:
    said = wrong_type("retries", CORPUS, "write rs.Retries(attempts=3)")
    assert said.startswith("retries: Corpus('tasks': 40 tasks) categories: ")
    assert said.endswith(" is a Corpus; write rs.Retries(attempts=3)")


def test_each_condition_is_in_the_signature_with_its_default() -> None:
    for call in (rs.replay, rs.replay_stream, rs.train, rs.compare, rs.capacity, rs.sweep):
        known = inspect.signature(call).parameters
        assert {known[name].kind for name in DEFAULTS} == {inspect.Parameter.KEYWORD_ONLY}
        assert {name: known[name].default for name in DEFAULTS} == DEFAULTS


def test_a_router_says_that_it_cannot_be_copied() -> None:
    for attempt in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError, match="TaskRouter cannot be pickled or copied"):
            attempt(routed())


def test_one_is_taken_for_a_list_of_one() -> None:
    policy = make_policy(POOL, "random")
    for one in ("random", policy, policy.choose, len):
        assert several(one) == [one]
    assert several(("random", policy)) == ["random", policy]
    assert several(3) == [3]  # refused as a policy, not as something to go through
    assert several("gpt-4", str) == ["gpt-4"]


@pytest.mark.slow
def test_one_result_is_reported_and_a_log_is_asked_of_one_policy(tmp_path: Path) -> None:
    result = played()
    written = [
        rs.write_report(given, tmp_path / "report.md", command="x").read_text(encoding="utf-8")
        for given in (result, [result])
    ]
    assert written[0] == written[1]
    rows = [f"{k},{'ab'[k % 2]},{2 * k},{0.5 + k % 7 / 10},9\n" for k in range(120)]
    path = tmp_path / "calls.csv"
    path.write_text("id,agent,arrived_at,latency,output_tokens\n" + "".join(rows))
    log: Any = rs.read_log(path)
    found = log.whatif("random", without="a", replications=3, progress=False)
    assert [each.policy.name for each in found.results] == ["logged", "random"]
    assert found.question == "without a"
    for given, said in (
        ({"policies": 3}, "3 is an int, not a policy: give a name such as"),
        ({"prices": ["a"]}, "prices: ['a'] is a list; write {'gpt-4': 0.02}"),
        ({"at": [1]}, "at is [1]; expected a share above 0 and below 1, or a date"),
    ):
        with pytest.raises(rs.RoutingSimError, match="^" + said.replace("[", r"\[")):
            log.whatif(**given, progress=False)
    study: Any = rs.compare(CORPUS, POOL, "random", loads=0.3, replications=2)
    for call, said in (
        (lambda: study.table("x"), "no 'random' at load 'x' in this study: policies random"),
        (lambda: study.decision(slo=3), "slo: 3 is an int; write {'latency_p95': 2.0}"),
        (lambda: study.decision(baseline=3), "no policy 3 to compare with: there are random"),
        (lambda: study.plot_regret("x"), "no load 'x' in this study: there are 0.3"),
    ):
        with pytest.raises(rs.SimulationError, match=f"^{said}"):
            call()
    assert np.isfinite(study.table(0.3)["cost"]).all()
