"""Playback of messages at their times, on a clock of the test's own."""

import math
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routingsim.errors import RoutingSimError
from routingsim.live import MemoryPublisher, play
from routingsim.live.publisher.base import PublisherStats
from routingsim.messages import (
    AgentInfo,
    AgentStatus,
    Body,
    ComplexityFactors,
    ComplexityScore,
    ReplayMessage,
    RoutingDecision,
    decode,
)

AGENT = AgentInfo("GPT-4", "gpt-4", ("code",), 0.03, 2.5)
SCORE = ComplexityScore(0.652, ComplexityFactors(118, 2, 13))


def decision(name: object) -> RoutingDecision:
    return RoutingDecision(str(name), AGENT, SCORE, "because", 0)


def status(agent: str, load: float) -> AgentStatus:
    return AgentStatus(agent, agent.title(), "busy", load, 0)


class Time(threading.Event):
    """A clock that moves only while someone waits for it, and a stop sign."""

    def __init__(self, *, stop_at: float = math.inf, overslept: float = 0.0) -> None:
        self.now = 1000.0
        self.stop_at = 1000.0 + stop_at
        self.overslept = overslept

    def __call__(self) -> float:
        return self.now

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.now += timeout + self.overslept
        return self.is_set()

    def is_set(self) -> bool:
        return self.now >= self.stop_at


class Watch(MemoryPublisher):
    """Also notes when each message came."""

    def __init__(self, time: Time) -> None:
        super().__init__()
        self.time = time
        self.times: list[float] = []

    def publish(self, body: Body) -> int:
        self.times.append(self.time.now - 1000.0)
        return super().publish(body)


def names(publisher: MemoryPublisher) -> list[str]:
    payloads = [decode(message).payload for _, message in publisher.messages]
    return [getattr(p, "task_id", None) or getattr(p, "agent_id", "") for p in payloads]


def test_messages_go_out_at_their_times() -> None:
    time = Time()
    watch = Watch(time)
    timed = [(0.0, decision("a")), (1.5, status("gpt-4", 0.5)), (4.0, decision("b"))]
    played = play(timed, watch, speed=2.0, stop=time, clock=time)
    assert watch.times == pytest.approx([0.0, 0.75, 2.0])
    assert names(watch) == ["a", "gpt-4", "b"]
    assert (played.messages, played.undelivered, played.finished) == (3, 0, True)
    assert played.seconds == pytest.approx(2.0)
    assert played.lag_max == pytest.approx(0.0, abs=1e-9)


def test_timestamps_are_the_wall_clock_times_meant() -> None:
    time = Time()
    watch = Watch(time)
    play([(10.0, decision("a")), (70.0, decision("b"))], watch, speed=60, stop=time, clock=time)
    first, second = (decode(message).payload.timestamp for _, message in watch.messages)
    assert second - first in (999, 1000, 1001)  # each is rounded
    assert first > 1_600_000_000_000


@pytest.mark.slow
@given(
    st.lists(st.floats(0, 100), max_size=30).map(sorted),
    st.floats(0.1, 1000),
    st.floats(0, 0.5),
)
def test_oversleeping_does_not_add_up(times: list[float], speed: float, overslept: float) -> None:
    time = Time(overslept=overslept)
    watch = Watch(time)
    played = play([(at, decision(at)) for at in times], watch, speed=speed, stop=time, clock=time)
    lags = [came - at / speed for at, came in zip(times, watch.times, strict=True)]
    assert all(-1e-6 <= lag <= overslept + 1e-6 for lag in lags)
    assert played.messages == len(times)
    assert played.lag_max == pytest.approx(max(lags, default=0.0), abs=1e-6)
    assert played.lag_mean == pytest.approx(sum(lags) / max(len(lags), 1), abs=1e-6)


def test_what_is_overdue_goes_out_at_once_and_is_counted() -> None:
    time = Time()
    watch = Watch(time)

    def slow() -> Iterator[tuple[float, RoutingDecision]]:
        yield 1.0, decision(1)
        time.now += 10.0  # whoever makes the messages takes long
        yield 2.0, decision(2)
        yield 3.0, decision(3)
        yield 20.0, decision(4)

    played = play(slow(), watch, stop=time, clock=time)
    assert watch.times == pytest.approx([1.0, 11.0, 11.0, 20.0])
    assert played.lag_max == pytest.approx(9.0)
    assert played.lag_mean == pytest.approx((9.0 + 8.0) / 4)


def test_a_later_start_leaves_out_what_was_before_but_the_agents_states() -> None:
    time = Time()
    watch = Watch(time)
    timed = [
        (0.0, decision("early")),
        (1.0, status("gpt-4", 0.2)),
        (2.0, status("llama", 0.9)),
        (3.0, status("gpt-4", 0.4)),
        (5.0, decision("on time")),
        (6.0, decision("late")),
    ]
    played = play(timed, watch, start=5.0, stop=time, clock=time)
    assert names(watch) == ["gpt-4", "llama", "on time", "late"]
    assert decode(watch.messages[0][1]).payload.load == 0.4  # type: ignore[union-attr]
    assert watch.times == pytest.approx([0.0, 0.0, 0.0, 1.0])
    assert played.messages == 4


@pytest.mark.parametrize("start", [0.0, 25.0])
def test_with_a_title_it_says_once_a_second_how_far_it_is(start: float) -> None:
    time = Time(overslept=0.25)
    watch = Watch(time)
    timed = [(5.0, decision("a")), (45.0, decision("b"))]
    played = play(
        timed, watch, speed=10.0, start=start, title="mine", end=45.0, stop=time, clock=time
    )
    words = [
        message.payload
        for _, body in watch.messages
        if isinstance(message := decode(body), ReplayMessage)
    ]
    assert played.messages == len(watch.messages) == len(words) + (1 if start else 2)
    assert [word.at for word in words] == [*range(int(start), 46, 10), 45.0]
    assert [word.over for word in words] == [False] * (len(words) - 1) + [True]
    assert {(word.title, word.end, word.speed) for word in words} == {("mine", 45.0, 10.0)}
    assert words[0].lag == 0.0
    assert 0.0 < words[-1].lag <= 0.25
    stamps = [word.timestamp for word in words]
    assert stamps == sorted(stamps)


def test_a_start_behind_the_end_shows_the_last_states() -> None:
    time = Time()
    watch = Watch(time)
    play([(1.0, status("llama", 0.9))], watch, start=5.0, stop=time, clock=time)
    assert names(watch) == ["llama"]


def test_it_can_be_stopped_in_the_middle_of_a_pause() -> None:
    time = Time(stop_at=3.0)
    watch = Watch(time)
    played = play([(1.0, decision(1)), (1e9, decision(2))], watch, stop=time, clock=time)
    assert names(watch) == ["1"]
    assert not played.finished
    assert played.seconds == pytest.approx(3.0, abs=0.11)


def test_progress_is_told_ten_times_a_second_in_the_time_played() -> None:
    time = Time()
    told: list[tuple[float, int]] = []
    play(
        [(at, decision(at)) for at in range(100)],
        Watch(time),
        speed=30.0,
        start=20.0,
        progress=lambda at, sent: told.append((at, sent)),
        stop=time,
        clock=time,
    )
    seconds, sent = zip(*told, strict=True)
    assert list(seconds) == sorted(seconds)
    assert seconds[0] >= 20.0
    assert told[-1] == (99.0, 80)
    assert 15 <= len(told) <= 30  # of 2.6 seconds
    assert list(sent) == sorted(sent)


def test_what_was_not_delivered_is_counted() -> None:
    publisher = MemoryPublisher()
    publisher.disconnect()
    publisher.publish_agent_status(status("before", 1.0))  # not ours to count
    played = play([(0.0, decision(1)), (0.0, decision(2))], publisher)
    assert (played.messages, played.undelivered) == (2, 2)


def test_what_a_play_before_left_over_is_not_counted_again() -> None:
    class Unheard(MemoryPublisher):
        def stats(self) -> PublisherStats:
            return PublisherStats(0, len(self.messages), 0, 0, 0)

    publisher = Unheard()
    plays = [play([(0.0, decision(f"{n}-{i}")) for i in range(n)], publisher) for n in (3, 2)]
    assert [played.undelivered for played in plays] == [3, 2]


@pytest.mark.parametrize("times", [[2.0, 1.0], [math.nan], [0.0, math.inf]])
def test_times_out_of_order_are_refused(times: list[float]) -> None:
    with pytest.raises(RoutingSimError, match=f"message {len(times)} is scheduled at"):
        play([(at, decision(at)) for at in times], MemoryPublisher(), speed=1e9)


@pytest.mark.parametrize("speed", [0, -1.0, math.inf, math.nan])
def test_impossible_speeds_are_refused(speed: float) -> None:
    with pytest.raises(RoutingSimError, match="speed"):
        play([], MemoryPublisher(), speed=speed)
