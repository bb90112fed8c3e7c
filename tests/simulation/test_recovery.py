"""Recovery times, worked out by hand, and by the flow of a queue that drains."""

import math

import numpy as np
import pytest

import routingsim as rs
from routingsim.errors import SimulationError
from routingsim.simulation import recovery


def pool(**given) -> rs.AgentPool:
    plain = {"cost": 1.0, "latency": 0.5, "service": "deterministic", "concurrency": 1} | given
    return rs.AgentPool((rs.Agent(id="a", name="a", **plain),))


def played(tasks: int = 400, **given) -> rs.ReplayResult:
    return rs.replay(None, pool(), "static:a", arrivals=rs.Deterministic(1.0), tasks=tasks, **given)


def test_the_queue_of_an_outage_drains_at_the_speed_that_is_left() -> None:
    # 20 tasks wait at 120 s; two a second are served, one comes: the last has left at 140 s.
    result = played(outages=rs.Outage("a", 100.0, 120.0))
    found = result.recovery(window=1.0).set_index("figure")
    assert found["event"].unique().tolist() == ["outage of a"]
    assert found["begin"].tolist() == [100.0] * 3
    assert found["end"].tolist() == [120.0] * 3
    assert found.loc["backlog", "seconds"] == 20.0
    # Of the answers of the window from 140 s on, one still comes from the queue.
    assert found.loc[["latency_mean", "latency_p95"], "seconds"].tolist() == [21.0, 21.0]
    assert found.loc["latency_p95", ["before", "bound"]].tolist() == [0.5, 0.5]
    # Without randomness all runs are alike.
    assert found.loc["backlog", ["mean", "low", "high", "runs", "not_back"]].tolist() == [
        *(20.0, 20.0, 20.0, 10, 0),
    ]
    assert played().recovery().empty
    # Out of its band in the window of an outage and the next one, which are two in a row.
    short = played(outages=rs.Outage("a", 100.0, 102.0)).recovery(window=2.0, replications=0)
    assert short.set_index("figure").loc["backlog", "seconds"] == 2.0


def test_a_change_for_good_is_not_recovered_from_and_one_that_is_taken_back_is() -> None:
    slow, quick = rs.Change("a", 100.0, speed=0.25), rs.Change("a", 120.0, speed=1.0)
    for_good = played(changes=slow).recovery(window=1.0)
    assert for_good["seconds"].tolist() == [math.inf] * 3
    assert for_good["not_back"].tolist() == for_good["runs"].tolist() == [10] * 3
    assert np.isnan(for_good["low"].to_numpy()).all()
    # Half a task a second is served for 20 s: 10 have ended by 120 s. The 10 that wait then were
    # sent while calls took 2 s, and take 20 s more; 20 come in these, and drain in 20 s.
    found = played(changes=[slow, quick]).recovery(window=1.0).set_index(["event", "figure"])
    assert found.loc[("a speed 0.25", "backlog"), "seconds"] == 60.0
    assert found.loc[("a speed 1", "backlog"), "seconds"] == 40.0


def test_what_changes_nothing_is_recovered_from_at_once() -> None:
    found = played(changes=rs.Change("a", 100.0, price=2.0)).recovery()
    assert found["seconds"].tolist() == [0.0] * 3
    assert found["window"].tolist() == [2.0] * 3  # a fiftieth of the time before
    twice = [rs.Change("a", at, price=2.0) for at in (50.0, 200.0)]
    assert set(played(changes=twice).recovery(replications=0)["window"]) == {1.0}


def test_backlog_is_counted_from_the_first_task_on() -> None:
    found = recovery._area(np.array([1.0, 2.0]), np.array([0.0, 1.5, 3.0]))
    assert found.tolist() == [0.5, 2.5]


def test_an_event_is_not_blamed_for_what_a_later_one_does() -> None:
    price = rs.Change("a", 50.0, price=2.0)
    outages = [rs.Outage("a", 100.0, 120.0), rs.Outage("a", 250.0, 260.0)]
    found = played(changes=price, outages=outages).recovery(window=1.0, replications=0)
    backlog = found.loc[found["figure"] == "backlog", "seconds"]
    assert backlog.tolist() == [0.0, 20.0, 10.0]
    # 10 tasks still wait at 130 s, 20 at 140 s, and none from 160 s on: both are back then.
    soon = [rs.Outage("a", 100.0, 120.0), rs.Outage("a", 130.0, 140.0)]
    found = played(outages=soon).recovery(window=1.0, replications=0)
    backlog = found.loc[found["figure"] == "backlog", "seconds"]
    assert backlog.tolist() == [40.0, 20.0]


def test_a_burst_that_comes_anyway_is_no_lack_of_recovery() -> None:
    def timed(at: float, **event) -> list[float]:
        times = np.sort(np.concatenate([np.arange(400.0), np.full(10, at)]))
        given = {"arrivals": rs.Trace(times), "tasks": 410} | event
        result = rs.replay(None, pool(), "static:a", **given)
        return result.recovery(window=1.0, replications=0)["seconds"].tolist()

    # Ten tasks at 200 s take 10 s to drain, in the control, too.
    assert timed(200.0, changes=rs.Change("a", 100.0, price=2.0)) == [0.0] * 3
    assert timed(200.0, outages=rs.Outage("a", 100.0, 120.0)) == [21.0, 21.0, 20.0]
    # At 130 s ten still wait from the outage: 20 drain until 150 s, ten more than in the control
    # before 140 s, and all of them after.
    assert timed(130.0, outages=rs.Outage("a", 100.0, 120.0)) == [31.0, 31.0, 30.0]


def test_chance_is_no_lack_of_recovery() -> None:
    busy = pool(latency=1.0, service="exponential")
    for seed in range(5):
        result = rs.replay(
            None, busy, "static:a", arrivals="poisson:0.7", tasks=2000, seed=seed,
            changes=rs.Change("a", 1000.0, price=2.0),
        )  # fmt: skip
        assert result.recovery(window=20.0, replications=0)["seconds"].tolist() == [0.0] * 3


def test_an_agent_that_joins_is_not_in_the_control() -> None:
    one = {"name": "n", "cost": 1.0, "latency": 1.0}
    two = rs.AgentPool((rs.Agent(id="a", **one), rs.Agent(id="b", **one)))
    result = rs.replay(
        None, two, "round-robin", arrivals="poisson:1", tasks=50,
        changes=[rs.Change("b", 20.0, offered=True), rs.Change("a", 20.0, offered=False)],
    )  # fmt: skip
    late = result.work.arrived >= 20.0
    assert result.log.agent.tolist() == late.astype(int).tolist()
    assert set(result.undisturbed.log.agent) == {0}
    assert result.undisturbed.work.arrived.tolist() == result.work.arrived.tolist()


def test_too_little_before_gives_no_band_and_no_end_no_recovery() -> None:
    early = played(outages=rs.Outage("a", 3.0, 9.0)).recovery(window=1.0, replications=0)
    assert np.isnan(early["seconds"].to_numpy()).all()
    assert np.isnan(early["bound"].to_numpy()).all()
    stays = played(outages=rs.Outage("a", 300.0, 9e9)).recovery(replications=0)
    assert stays["seconds"].tolist() == [math.inf] * 3
    assert stays["runs"].tolist() == [0] * 3


def test_the_words_and_the_json() -> None:
    result = played(outages=rs.Outage("a", 100.0, 120.0))
    said = "recovery from outage of a, in windows of 2 s: mean latency 22 s, p95 22 s, backlog 20 s"
    assert f"{said} after 120 s" in " ".join(str(result).split())
    row = result.to_dict()["recovery"][2]
    assert (row["figure"], row["seconds"], row["back"]) == ("backlog", 20.0, True)
    assert row["mean"] is None
    slow = played(changes=rs.Change("a", 100.0, speed=0.25))
    assert "mean latency not by the last arrival" in " ".join(str(slow).split())
    row = slow.to_dict()["recovery"][0]
    assert (row["seconds"], row["back"]) == (None, False)
    early = played(outages=rs.Outage("a", 0.0, 9.0))
    assert "not known, as too little came before it" in " ".join(str(early).split())
    assert early.to_dict()["recovery"][0]["back"] is None
    assert played().to_dict()["recovery"] == []


def test_a_default_window_is_long_enough_for_the_run() -> None:
    result = played(3000, changes=rs.Change("a", 1.0, price=2.0))
    assert (
        result.recovery(replications=0)["window"].tolist() == [pytest.approx(result.span / 1e5)] * 3
    )


def test_events_at_one_time_are_one() -> None:
    plain = {"cost": 1.0, "latency": 1.0, "account": "x"}
    two = rs.AgentPool(tuple(rs.Agent(id=k, name=k, **plain) for k in "ab"))
    result = rs.replay(
        None, two, "random", arrivals="poisson:1", tasks=50, outages=rs.Outage("x", 5.0, 9.0),
        changes=[rs.Change("a", 20.0, speed=2.0), rs.Change("b", 20.0, offered=False)],
    )  # fmt: skip
    said = [(each.what, each.begin, each.end) for each in recovery.events(result)]
    assert said == [
        ("outage of a, b", 5.0, 9.0),
        ("a speed 2; b leaves", 20.0, 20.0),
    ]


@pytest.mark.slow
def test_a_random_queue_drains_as_its_flow_does() -> None:
    # M/M/10 with mean 1 s at load 0.7: 60 s down leave about 420 tasks, which drain at 3 a second.
    busy = pool(latency=1.0, service="exponential", concurrency=10)
    result = rs.replay(
        None, busy, "static:a", arrivals="poisson:7", tasks=20_000, seed=3,
        outages=rs.Outage("a", 1000.0, 1060.0),
    )  # fmt: skip
    found = result.recovery(window=10.0).set_index("figure")
    assert found.loc["backlog", "low"] < 140.0 + 10.0
    assert found.loc["backlog", "high"] > 140.0 - 30.0  # it is within its band before it is empty
    assert abs(found.loc["backlog", "mean"] - 140.0) < 30.0


@pytest.mark.parametrize(
    ("window", "said"),
    [(0.0, r"window=0\.0; seconds above 0"), (math.nan, "seconds above 0"),
     (1e-6, "window=1e-06 s is too short: the run would have more than 100,000 windows")],
)  # fmt: skip
def test_windows_that_are_not_allowed(window: float, said: str) -> None:
    result = played(outages=rs.Outage("a", 100.0, 120.0))
    with pytest.raises(SimulationError, match=said):
        result.recovery(window=window)
