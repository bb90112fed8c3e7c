"""A replay in blocks against the same replay in one piece, and what it refuses."""

import errno
import math
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pandas.testing import assert_frame_equal

import routingsim as rs
from routingsim.corpora import stream as corpus_stream
from routingsim.errors import CorpusError, PolicyError, SimulationError
from routingsim.evaluation.metrics.timed import timed_replay
from routingsim.policies.policy import make_policy
from routingsim.simulation import task_sink
from routingsim.simulation.export import write_tasks
from routingsim.simulation.quantile_sketch import ERROR, QuantileSketch
from routingsim.simulation.statistics import quantiles


def agent(name: str, **fields: Any) -> rs.Agent:
    return rs.Agent(**{"id": name, "name": name, "strengths": (), "cost": 0.01, **fields})


POOL = rs.AgentPool(
    (
        agent("big", latency=2.0, concurrency=3, error_rate=0.2, failures="drawn"),
        agent("small", cost=0.001, latency=0.5, concurrency=2, patience=3.0, timeout=2.0),
        agent("mid", latency=1.0, concurrency=2, queue_limit=5),
    )
)
CUTS = (0, 300, 301, 1100, 1500)  # where files end: one task is a file of its own


def tasks(seed: int = 3) -> pd.DataFrame:
    """Tasks that come faster than the pool serves them, with two agents' qualities."""
    n, drawn = CUTS[-1], np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "id": [f"t{k}" for k in range(n)],
            "text": ["say " + "x " * int(k) for k in drawn.integers(1, 60, n)],
            "category": drawn.choice(["a", "b", ""], n),
            "arrived_at": np.cumsum(drawn.exponential(0.2, n)),
            "outcomes.big.quality": drawn.uniform(0, 1, n),
            "outcomes.small.quality": drawn.uniform(0, 1, n).round(),
        }
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tasks in four Parquet files, in blocks of 300, 401, 399 and 400."""
    monkeypatch.setattr(corpus_stream, "TASKS", 400)
    path = tmp_path / "corpus"
    path.mkdir()
    for k, (begin, end) in enumerate(pairwise(CUTS)):
        tasks().iloc[begin:end].to_parquet(path / f"{k}.parquet")
    return path


SCENARIOS: list[tuple[str, str | None, dict[str, Any]]] = [
    ("least-loaded", None, {}),
    ("round-robin", "poisson:6", {"retries": rs.Retries(attempts=3, on=("failed", "shed"))}),
    (
        "ucb1",
        "gamma:8,cv=2",
        {"retries": rs.Retries(4, 5.0, fallback="all", jitter=0.5), "hedge": "p90"},
    ),
    (
        "random",
        "poisson:3 + deterministic:2",
        {
            "hedge": "1.5s",
            "outages": [rs.Outage("big", 50, 90)],
            "changes": [
                rs.Change("mid", 100, speed=0.5),
                rs.Change("big", 120, price=3.0, quality=0.5),
            ],
        },
    ),
    ("shortest-wait", "corpus:2x", {"signal_delay": 0.5, "routers": 3, "warm_up": 0.2}),
    ("least-loaded", "corpus:start=70,stop=250", {}),
    ("cascade:agents=small/big,bar=0.5", "deterministic:4", {"retries": rs.Retries(2)}),
    (
        "random",
        "poisson:6",
        {
            "tenants": ["x:weight=2,share=0.3,priority=1", "y:share=0.5", "z:share=0.2"],
            "discipline": "fair",
        },
    ),
]


def assert_alike(mine: pd.DataFrame, its: pd.DataFrame) -> None:
    """Two summaries: counts the same, means by rounding, quantiles within their bound."""
    assert list(mine) == list(its)
    counts = [name for name in its if its[name].dtype.kind == "i"]
    times = [name for name in its if "_p" in name]
    others = [name for name in its if name not in (*counts, *times)]
    assert_frame_equal(mine.loc[:, counts], its.loc[:, counts], check_exact=True)
    assert_frame_equal(mine.loc[:, others], its.loc[:, others], rtol=1e-9)
    assert_frame_equal(mine.loc[:, times], its.loc[:, times], rtol=ERROR, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("policy", "arrivals", "conditions"), SCENARIOS)
def test_blocks_change_nothing(
    folder: Path, tmp_path: Path, policy: str, arrivals: str | None, conditions: dict[str, Any]
) -> None:
    corpus = rs.load_corpus(folder)
    made = make_policy(POOL, policy, corpus)
    whole = rs.replay(corpus, POOL, made, arrivals=arrivals, seed=5, **conditions)
    stream = rs.stream_corpus(folder)
    out = tmp_path / "tasks.parquet"
    found = rs.replay_stream(stream, POOL, made, arrivals=arrivals, seed=5, to=out, **conditions)

    rows = pd.read_parquet(write_tasks([whole], tmp_path / "whole.parquet"))
    assert_frame_equal(pd.read_parquet(out), rows, check_exact=True, check_categorical=False)
    np.testing.assert_array_equal(found.memory, whole.memory)
    assert_alike(found.summary(), whole.summary())
    assert_alike(found.by_tenant(), whole.by_tenant())
    assert found.realised == pytest.approx(whole.realised, rel=1e-6)
    assert (found.stability.peak, found.stability.left) == (
        whole.stability.peak,
        whole.stability.left,
    )


@pytest.mark.slow
@pytest.mark.parametrize("discipline", ["priority", "fair"])
def test_tenants_and_priorities_are_the_same(folder: Path, tmp_path: Path, discipline: str) -> None:
    """One block has no priority, another but one tenant, and some tasks have none."""
    frame, drawn = tasks(), np.random.default_rng(2)
    frame["tenant"] = drawn.choice(["acme", "b", ""], CUTS[-1])
    frame["priority"] = drawn.choice([0, 3, np.nan], CUTS[-1])
    frame.loc[301:1099, "priority"] = np.nan
    frame.loc[1100:, "tenant"] = "b"
    for k, (begin, end) in enumerate(pairwise(CUTS)):
        frame.iloc[begin:end].to_parquet(folder / f"{k}.parquet")
    given: dict[str, Any] = {"tenants": ["acme:weight=3,priority=1"], "discipline": discipline}
    whole = rs.replay(rs.load_corpus(folder), POOL, "least-loaded", seed=1, **given)
    out = tmp_path / "tasks.parquet"
    found = rs.replay_stream(
        rs.stream_corpus(folder), POOL, "least-loaded", seed=1, to=out, **given
    )
    rows = pd.read_parquet(write_tasks([whole], tmp_path / "whole.parquet"))
    assert_frame_equal(pd.read_parquet(out), rows, check_exact=True, check_categorical=False)
    assert_alike(found.by_tenant(), whole.by_tenant())
    assert_alike(found.by_priority(), whole.by_priority())
    assert found.by_priority().index.tolist() == [0, 1, 3]
    assert found.fairness == pytest.approx(whole.fairness, rel=1e-9)
    mine, its = found.to_dict(), whole.to_dict()
    assert set(its) - set(mine) == {"checkup", "recovery"}
    assert mine["in_time"] is None
    assert mine["recorded"] == its["recorded"]
    assert mine["window"] == pytest.approx(its["window"])
    assert mine["arrivals"]["process"] == its["arrivals"]["process"]
    assert mine["arrivals"].keys() == its["arrivals"].keys()
    for name in ("rate", "cv", "span"):
        assert mine["arrivals"][name] == pytest.approx(its["arrivals"][name], rel=1e-6)
    assert found.to_frame()["agent"].tolist() == [*POOL.ids, "all"]
    said, table = found.to_markdown().splitlines(), whole.to_markdown().splitlines()
    assert said[:3] == ["- arrivals: 5.19/s (cv 1.02) met over 289 s", f"- {found.stability}", ""]
    exact = [[row.split(" | ")[:5] for row in each[-len(POOL) - 3 :]] for each in (said, table)]
    assert exact[0] == exact[1]
    assert len(said) == 3 + 2 + len(POOL) + 1
    shown = found._repr_html_()
    assert "1,500 tasks under least-loaded, corpus, seed 1" in shown
    assert re.findall("<th.*?th>", shown) == re.findall("<th.*?th>", whole.to_html())
    assert "arrivals: 5.19/s (cv 1.02) met over 289 s" in shown
    with pytest.raises(SimulationError, match=r"tenant 'acm': .*did you mean 'acme'"):
        rs.replay_stream(rs.stream_corpus(folder), POOL, tenants="acm")


@pytest.mark.slow
@pytest.mark.parametrize("arrivals", ["poisson:3.5", "corpus:0.5x"])
def test_goodput_is_that_of_a_replay_in_memory(folder: Path, arrivals: str) -> None:
    """Bit for bit, where many answers have no quality, and the end may be known last."""
    corpus, stream = rs.load_corpus(folder), rs.stream_corpus(folder)
    given: dict[str, Any] = {"arrivals": arrivals, "seed": 5, "warm_up": 0.1}
    whole = rs.replay(corpus, POOL, "random", **given)
    found = rs.replay_stream(
        stream, POOL, "random", objective=4.0, first_token_objective=3.5, **given
    )
    its = timed_replay(whole, 4.0, first_token_objective=3.5)
    mine = timed_replay(found, 4.0, first_token_objective=3.5)
    assert (mine.goodput, mine.within) == (its.goodput, its.within)
    assert mine.quality.value == pytest.approx(its.quality.value, rel=1e-12)
    assert (mine.quality.tasks, mine.quality.left_out) == (its.quality.tasks, its.quality.left_out)
    assert mine.cost_per_right == pytest.approx(its.cost_per_right, rel=1e-12)
    assert 0.2 < its.within.value < 0.9
    assert its.quality.left_out > 100
    assert found.figure("goodput") == its.goodput > 0
    assert found.to_dict()["in_time"] == {
        "objective": 4.0,
        "first_token_objective": 3.5,
        "goodput": its.goodput,
        "within": its.within.value,
        "quality_in_time": mine.quality.value,
        "cost_per_right": mine.cost_per_right,
    }
    said = f"{its.within.value:.1%} of the tasks answered within 4 s, first token within 3.5 s"
    assert said in " ".join(repr(found).split())
    with pytest.raises(SimulationError, match=r"goodput within 5 s: .* this one within 4 s, first"):
        timed_replay(found, 5.0)


@pytest.mark.slow
def test_figures_rest_on_the_same_tasks(folder: Path) -> None:
    """One agent has qualities and costs in two of the blocks only, and there not of all tasks."""
    frame = tasks().assign(**{"outcomes.big.cost": 0.003, "outcomes.small.cost": 0.0003})
    some = [f"outcomes.small.{field}" for field in ("quality", "cost")]
    frame.loc[frame.index < 350, some] = np.nan
    frame.loc[1100:, some] = np.nan
    for k, (begin, end) in enumerate(pairwise(CUTS)):
        frame.iloc[begin:end].to_parquet(folder / f"{k}.parquet")
    given: dict[str, Any] = {"arrivals": "poisson:3", "seed": 2}
    whole = rs.replay(rs.load_corpus(folder), POOL, "random", **given)
    found = rs.replay_stream(rs.stream_corpus(folder), POOL, "random", objective=5.0, **given)
    assert found.recorded == whole.basis.kind == "common"
    assert_alike(found.summary(), whole.summary())
    assert set(found.notes[:2]) <= set(whole.notes)
    assert "(small 50.0%): figures of quality rest on the 750 of 1,500 tasks" in found.notes[1]
    mine, its = timed_replay(found, 5.0), timed_replay(whole, 5.0)
    assert (mine.goodput, mine.within) == (its.goodput, its.within)
    assert mine.cost_per_right == pytest.approx(its.cost_per_right, rel=1e-12)


@pytest.mark.slow
def test_goodput_needs_an_objective_before_the_run(folder: Path) -> None:
    stream = rs.stream_corpus(folder)
    found = rs.replay_stream(stream, POOL, "static:mid")
    assert found.to_dict()["in_time"] is None
    with pytest.raises(SimulationError, match="replay it with objective=, the seconds"):
        found.interval("goodput")
    with pytest.raises(SimulationError, match="this one had no objective"):
        timed_replay(found, 5.0)
    with pytest.raises(SimulationError, match="first_token_objective: goodput needs an objective"):
        rs.replay_stream(stream, POOL, "static:mid", first_token_objective=1.0)
    with pytest.raises(SimulationError, match="objective=0: a number of seconds above 0"):
        rs.replay_stream(stream, POOL, "static:mid", objective=0)


@pytest.mark.slow
def test_service_by_tokens_and_shared_speed_are_the_same(folder: Path, tmp_path: Path) -> None:
    """What the pool shows to policies is a mean over all blocks, and calls cut off hold slots."""
    frame = tasks().assign(output_tokens=np.random.default_rng(1).integers(20, 200, CUTS[-1]))
    for k, (begin, end) in enumerate(pairwise(CUTS)):
        frame.iloc[begin:end].to_parquet(folder / f"{k}.parquet")
    given: dict[str, Any] = {"cost": 0.01, "service": "tokens", "tokens_per_second": 60.0}
    given |= {"ttft": 0.2, "timeout": 3.0, "cut_off": "holds", "concurrency": 4}
    pool = rs.AgentPool((agent("a", latency=1.0, **given), agent("b", latency=2.0, **given)))
    corpus = rs.load_corpus(folder)
    whole = rs.replay(corpus, pool, "shortest-wait", seed=2, arrivals="poisson:3")
    out = tmp_path / "tasks.parquet"
    found = rs.replay_stream(
        rs.stream_corpus(folder), pool, "shortest-wait", seed=2, arrivals="poisson:3", to=out
    )
    rows = pd.read_parquet(write_tasks([whole], tmp_path / "whole.parquet"))
    assert rows["status"].tolist().count("timed_out")
    assert_frame_equal(pd.read_parquet(out), rows, check_exact=True, check_categorical=False)
    assert found.summary()["utilisation"].to_numpy() == pytest.approx(
        whole.summary()["utilisation"].to_numpy(), rel=1e-9
    )
    assert found.summary()["first_token_p90"].to_numpy() == pytest.approx(
        whole.summary()["first_token_p90"].to_numpy(), rel=ERROR
    )


def test_slots_held_after_the_last_answer_are_not_counted(folder: Path) -> None:
    """Calls of 10 s are cut off after 1 s, and the slot of the last is held for 9 s more."""
    given: dict[str, Any] = {"service": "deterministic", "timeout": 1.0, "cut_off": "holds"}
    pool = rs.AgentPool((agent("a", latency=10.0, **given, concurrency=2000),))
    whole = rs.replay(rs.load_corpus(folder), pool, "static:a")
    found = rs.replay_stream(rs.stream_corpus(folder), pool, "static:a")
    end = float(whole.log.finished.max())
    seconds = np.minimum(10.0, end - whole.work.arrived).sum()
    for each in (whole, found):
        assert each.overall["utilisation"] == pytest.approx(seconds / (2000 * end))


@pytest.mark.slow
def test_a_folder_gets_a_file_for_every_million_tasks_of_a_policy(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_sink, "ROWS", 600)
    out = tmp_path / "out"
    stream = rs.stream_corpus(folder)
    with task_sink.TaskSink(out) as sink:
        for policy in ("least-loaded", "static:big"):
            rs.replay_stream(stream, POOL, policy, to=sink)
    sizes = {each.name: pq.read_metadata(each).num_rows for each in sorted(out.iterdir())}
    assert sizes == {
        "least-loaded-00000.parquet": 701,
        "least-loaded-00001.parquet": 799,
        "static_big-00002.parquet": 701,
        "static_big-00003.parquet": 799,
    }
    with pytest.raises(SimulationError, match=r"holds .*parquet already; name a new folder"):
        task_sink.TaskSink(out)


@pytest.mark.slow
def test_a_full_disk_keeps_what_is_whole(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_sink, "ROWS", 300)
    write, written = pq.ParquetWriter.write_table, [0]

    def full(self: Any, table: pa.Table, *rest: Any, **named: Any) -> None:
        written[0] += table.num_rows
        if written[0] > 1000:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, table, *rest, **named)

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    out = tmp_path / "out"
    with pytest.raises(SimulationError) as caught:
        rs.replay_stream(rs.stream_corpus(folder), POOL, "least-loaded", to=out)
    assert str(caught.value) == (
        f"{out}: cannot be written (No space left on device); the files that were ended before "
        "stay; make room and run it again, into a new folder: it is not taken up where it stopped"
    )
    whole = {each.name: pq.read_metadata(each).num_rows for each in out.iterdir()}
    assert whole == {"least-loaded-00000.parquet": 300, "least-loaded-00001.parquet": 401}
    written[0] = 0
    with pytest.raises(SimulationError, match=r"tasks.parquet: cannot be written"):
        rs.replay_stream(
            rs.stream_corpus(folder), POOL, "least-loaded", to=tmp_path / "tasks.parquet"
        )
    assert sorted(each.name for each in tmp_path.iterdir()) == ["corpus", "out"]


@pytest.mark.slow
def test_what_cannot_be_streamed_is_refused_in_a_line(folder: Path, tmp_path: Path) -> None:
    stream = rs.stream_corpus(folder)

    def plain(task: Any, pool: Any, memory: Any) -> int:
        return 0

    refused: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"arrivals": "closed:users=3,think=1"}, SimulationError, "in a closed loop tasks come as"),
        ({"arrivals": "corpus:start=900"}, SimulationError, "no arrival in [900, ); its times go"),
        ({"policy": plain}, PolicyError, "policy plain is plain Python"),
        ({"to": tmp_path / "x.csv"}, SimulationError, "x.csv: a replay in blocks writes Parquet"),
        ({"warm_up": 1.0}, SimulationError, "warm_up=1.0: a share"),
    ]
    for given, kind, said in refused:
        asked: dict[str, Any] = {"policy": "least-loaded", **given}
        with pytest.raises(kind) as caught:
            rs.replay_stream(stream, POOL, **asked)
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(SimulationError, match=r"is a Corpus; open the files with rs.stream_corpus"):
        rs.replay_stream(rs.load_corpus("tasks"), POOL)  # pyright: ignore[reportArgumentType]

    late = tasks()
    late.loc[1200, "arrived_at"] = 0.5
    late.iloc[1100:1500].to_parquet(folder / "3.parquet")
    with pytest.raises(SimulationError, match=r"task 't1100' at .* s arrives before|task 't1200'"):
        rs.replay_stream(rs.stream_corpus(folder), POOL, arrivals="corpus")
    late.assign(tenant="x").iloc[1100:1500].to_parquet(folder / "3.parquet")
    with pytest.raises(
        CorpusError, match=r"3.parquet: column 'tenant' is text, and in .*0.parquet"
    ):
        rs.replay_stream(rs.stream_corpus(folder), POOL)


@pytest.mark.slow
def test_a_damaged_file_is_found_before_any_work(folder: Path, tmp_path: Path) -> None:
    data = (folder / "2.parquet").read_bytes()
    (folder / "2.parquet").write_bytes(data[: len(data) // 2])
    out = tmp_path / "out"
    with pytest.raises(CorpusError, match=r"2.parquet: damaged or cut-off Parquet file"):
        rs.replay_stream(rs.stream_corpus(folder), POOL, to=out)
    assert not list(out.iterdir())


@pytest.mark.slow
def test_an_interval_by_batches_covers_theory(tmp_path: Path) -> None:
    """M/M/1 at load 1/2: the mean latency is 2 s."""

    def stream(n: int) -> rs.CorpusStream:
        path = tmp_path / str(n)
        path.mkdir()
        table = pa.table({"id": pa.array(np.arange(n)).cast(pa.string()), "text": ["x"] * n})
        table = table.append_column("outcomes.a.quality", pa.array(np.ones(n)))
        pq.write_table(table, path / "0.parquet")
        return rs.stream_corpus(path)

    pool = rs.AgentPool((agent("a", latency=1.0, concurrency=1, service="exponential"),))
    found = rs.replay_stream(
        stream(200_000), pool, "static:a", arrivals="poisson:0.5", seed=4, objective=3.0
    )
    assert found.stability.verdict == "steady"
    # Latency is exponential with a mean of 2 s; half of the tasks wait, those as long.
    exact = {"latency": 2.0, "wait": 1.0, "latency_p50": 2 * math.log(2)}
    exact |= {"first_token_p95": 2 * math.log(20), "wait_p90": 2 * math.log(5)}
    exact |= {"goodput": 0.5 * -math.expm1(-3 / 2)}
    for metric, value in exact.items():
        interval = found.interval(metric)
        assert 0 < interval.half_width < 0.05 * value
        assert abs(interval.mean - value) < 2 * interval.half_width
        assert interval.method.startswith("30 batches of this one run")
    few = found.interval("latency_p99")  # 60 answers of a batch are above it
    assert math.isnan(few.half_width)
    assert few.method == "none: batches of this run look dependent, or have too few values"
    with pytest.raises(SimulationError, match="no interval of 'utilisation'"):
        found.interval("utilisation")

    short = stream(20_000)

    def method(**given: Any) -> str:
        asked = {"policy": "static:a", "arrivals": "poisson:0.5", "seed": 4} | given
        interval = rs.replay_stream(short, pool, **asked).interval("latency_p95")
        assert math.isnan(interval.half_width)
        return interval.method

    alike = "batches of it to be as runs of their own"
    assert method(arrivals="poisson:0.98") == f"none: the run is too short for {alike}"
    assert method(arrivals="poisson:1.1") == ("none: growing, so it says only how long the run was")
    outage = rs.Outage("a", 100, 200)
    assert method(outages=outage) == "none: the pool changes during the run"
    assert method(policy="ucb1") == "none: ucb1 learns, so the run does not stay as it is"


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e2])
def test_a_sketch_is_within_its_bound(seed: int, scale: float) -> None:
    values = np.random.default_rng(seed).lognormal(0.0, 1.5, 5000) * scale
    values[:100] = 0.0
    sketch, other = QuantileSketch(), QuantileSketch()
    assert np.isnan(sketch.quantiles([0.5])).all()
    sketch.add(values[:2000])
    other.add(values[2000:])
    sketch.merge(other)
    at = [0.01, 0.5, 0.9, 0.95, 0.99, 0.999]
    np.testing.assert_allclose(sketch.quantiles(at), quantiles(values, at), rtol=ERROR, atol=1e-9)
