"""Reading logs: files, folders and tables; mappings; what is damaged, doubtful or of no shape."""

import copy
import json
import math
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import routingsim as rs
from routingsim.corpora.logs import registry
from routingsim.corpora.logs.read import read_log
from routingsim.corpora.logs.shape import Shape
from routingsim.errors import CorpusError

Write = Callable[..., Path]
SAMPLES = Path(__file__).parent / "samples"

FLAT = "request_id,created,model,prompt,latency_ms,usd,success\n"
FLAT_MAP = (
    "id=request_id,arrived_at=created:epoch_ms,agent=model,text=prompt,latency=latency_ms:ms,"
    "cost=usd,status=success"
)


def payload(number: int, **changes: Any) -> dict[str, Any]:
    """A call as LiteLLM logs it: from second 10 x number on, for 2 s."""
    start = 1748851200.0 + 10 * number
    return {
        "id": f"c{number}", "trace_id": f"t{number}", "call_type": "acompletion", "model": "m",
        "response_cost": 0.001, "status": "success", "prompt_tokens": 10, "completion_tokens": 20,
        "startTime": start, "endTime": start + 2, "completionStartTime": start + 0.5,
        "messages": [{"role": "user", "content": f"task {number}"}],
    } | changes  # fmt: skip


def lines(*records: dict[str, Any]) -> str:
    return "\n".join(map(json.dumps, records)) + "\n"


# -- mappings ---------------------------------------------------------------------------


def test_anything_flat_is_read_by_a_mapping(write: Write) -> None:
    path = write(
        FLAT + "r1,1748851200250,a,Hi,1500,0.1,True\nr2,1748851201000,b,Ho,20,0,False\n", "x.csv"
    )
    log = read_log(path, columns=FLAT_MAP)
    assert log.tools == ("map",)
    assert log.began == pd.Timestamp("2025-06-02 08:00:00.25", tz="UTC")
    calls = log.calls
    assert calls["arrived_at"].tolist() == [0.0, 0.75]
    assert calls["latency"].tolist() == [1.5, 0.02]
    assert calls["status"].tolist() == ["ok", "failed"]
    assert log.texts().to_pylist() == ["Hi", "Ho"]
    assert log.columns["latency"] == "latency_ms (ms)"
    again = {pair.partition("=")[0]: pair.partition("=")[2] for pair in FLAT_MAP.split(",")}
    assert read_log(path, columns=again).calls.equals(calls)


@pytest.mark.parametrize(
    ("values", "unit", "seconds"),
    [
        ([1748851200.25, 1748851201.5], "epoch_s", [0, 1.25]),
        ([1748851200250, 1748851201500], "epoch_ms", [0, 1.25]),
        ([1748851200250000, 1748851201500000], "epoch_us", [0, 1.25]),
        (["1748851200250000001", "1748851201500000002"], "epoch_ns", [0, 1.250000001]),
        ([1748851200250, 1748851201500], "", [0, 1.25]),  # told by their size
        ([250, 1500], "ms", [0.25, 1.5]),
        ([250, 1500], "", [250, 1500]),
        (["2025-06-02T08:00:00.25Z", "2025-06-02T10:00:01.5+02:00"], "", [0, 1.25]),
        (["2025-06-02 08:00:00.250 UTC", "2025-06-02 08:00:01,500"], "", [0, 1.25]),
        (["Jun 2 2025"], "", CorpusError),
        (["6/2/2025 8:00"], "", CorpusError),  # month or day first?
        ([-1.0, 3.0], "s", CorpusError),
    ],
)  # fmt: skip
def test_clocks_in_every_unit(values: list[Any], unit: str, seconds: Any) -> None:
    frame = pd.DataFrame({"when": values, "who": "a"})
    columns = {"arrived_at": "when" + (f":{unit}" if unit else ""), "agent": "who"}
    if seconds is CorpusError:
        with pytest.raises(CorpusError, match="frame, row 1: when: "):
            read_log(frame, columns=columns)
    else:
        log = read_log(frame, columns=columns)
        assert log.numbers("arrived_at").tolist() == pytest.approx(seconds, abs=1e-12)
        assert (log.began is None) == (seconds[0] != 0)


def test_paths_constants_and_names_of_files_are_sources(tmp_path: Path) -> None:
    folder = tmp_path / "llama"
    folder.mkdir()
    records = [{"usage": {"in": 3}, "tries": [{"s": 1.5}, {"s": 2.5}], "meta": '{"n.x": "t"}'}]
    (folder / "run.jsonl").write_text(lines(*records))
    columns = {
        "agent": "@folder", "task_id": "@file", "tags": "=night", "prompt_tokens": "usage.in",
        "latency": "tries.-1.s|tries.0.s", "session_id": "meta.n.x",
    }  # fmt: skip
    [call] = read_log(folder, columns=columns).calls.to_dict("records")
    wanted = {"agent": "llama", "task_id": "run", "tags": "night", "prompt_tokens": 3.0}
    assert wanted | {"latency": 2.5, "session_id": "t"} == {
        name: call[name] for name in [*wanted, "latency", "session_id"]
    }


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("latency", "map: 'latency' is no OURS=THEIRS"),
        ("speed=x", "map: no field 'speed'; there are id, task_id"),
        ("id=x,call_id=y", "map: call_id is given twice"),
        ("cost=usd:ms", "map: cost has usd, cents, found 'ms'"),
        ("agent=model:ms", "map: agent has no unit, found 'ms'"),
        ("agent=nobody,latency=latency_ms:ms", "map: no column 'nobody' for agent; there are 'req"),
    ],
)
def test_a_mapping_that_cannot_be_is_refused(write: Write, columns: str, said: str) -> None:
    path = write(FLAT + "r1,1748851200250,a,Hi,1500,0.1,True\n", "x.csv")
    with pytest.raises(CorpusError) as caught:
        read_log(path, columns=columns)
    assert said in str(caught.value)


def test_scores_are_read_on_the_scale_that_is_given(write: Write) -> None:
    records = [payload(1, rating=4), payload(2, rating=1), payload(3, rating=None)]
    path = write(lines(*records), "x.jsonl")
    log = read_log(path, columns="quality=rating:1..5")
    assert log.tools == ("litellm",)
    assert log.numbers("quality")[:2].tolist() == [0.75, 0.0]
    with pytest.raises(CorpusError, match=r"as in quality=rating:0\.\.4"):
        read_log(path, columns="quality=rating")
    with pytest.raises(CorpusError, match="expected a number from 2 to 5, found 1"):
        read_log(path, columns="quality=rating:2..5")
    langfuse = read_log(
        SAMPLES / "langfuse_observations.csv", columns="quality=scores.helpful:1..5"
    )
    assert langfuse.numbers("quality")[0] == 0.75


def test_a_file_of_no_shape_is_refused_with_the_closest_and_a_mapping(write: Write) -> None:
    path = write(FLAT + "r1,1748851200250,a,Hi,1500,0.1,True\n", "x.csv")
    with pytest.raises(CorpusError) as caught:
        read_log(path)
    assert str(caught.value) == (
        f"{path}: is of no shape that is known; it has 'request_id', 'created', 'model', "
        "'prompt', 'latency_ms', 'usd', 'success'; the closest is our own form (calls), which has "
        "agent, arrived_at and latency; to start from: "
        "--map id=request_id,"
        "agent=model,text=prompt,arrived_at=created:epoch_ms,latency=latency_ms:ms,status=success"
    )
    near = write("generation_id,created_at,model\ng,2025-06-02,m\n", "y.csv")
    with pytest.raises(CorpusError, match=r"closest is an export of OpenRouter's activity"):
        read_log(near)
    with pytest.raises(CorpusError) as caught:
        read_log(write("a,b\n1,2\n", "far.csv"))
    assert str(caught.value).endswith(
        "it has 'a', 'b'; the closest is our own form (calls), which has agent, arrived_at and "
        "latency; to start from, with columns of yours: "
        "--map agent=…,arrived_at=…,latency=…,text=…"
    )
    odd = write("when,whichModel,how_long_ms\n2025-06-02,m,5\n", "odd.csv")
    with pytest.raises(
        CorpusError, match="agent=whichModel,latency=how_long_ms:ms,arrived_at=when"
    ):
        read_log(odd)
    with pytest.raises(CorpusError, match="is not an export of Langfuse's observations: it has no"):
        read_log(path, "langfuse")
    with pytest.raises(CorpusError, match="source is 'excel'; allowed are auto, litellm, "):
        read_log(path, "excel")
    with pytest.raises(CorpusError, match="with a row a task: it is no log; load it with"):
        read_log(write("id,text\n1,a\n", "z.csv"))


# -- damage and doubt -------------------------------------------------------------------


def test_damaged_records_are_named_and_counted(write: Write) -> None:
    text = lines(payload(1)) + '{"id": "cut\n' + "[1]\n" + lines(payload(2, prompt_tokens=-3))
    path = write(text + lines(payload(3)), "x.jsonl")
    with pytest.raises(CorpusError) as caught:
        read_log(path)
    assert str(caught.value) == (
        f"{path}:2: not valid JSON: cut off in the middle of a record, or a broken \\u escape "
        "(and 2 more). Mend the file, or leave such records out with on_error='skip' "
        "(--on-error skip)"
    )
    log = read_log(path, on_error="skip")
    assert log.names("call_id").tolist() == ["c1", "c3"]
    assert [each.line for each in log.skipped] == [2, 3, 4]
    assert log.notes[0].startswith("3 records were skipped; the first: ")
    assert log.texts().to_pylist() == ["task 1", "task 3"]


def test_an_array_that_is_cut_off_keeps_what_is_whole(write: Write) -> None:
    whole = json.dumps([payload(1), payload(2), payload(3)])
    path = write(whole[:-40], "x.json")
    with pytest.raises(
        CorpusError, match="row 3: cut off: the file ends in the middle of a record"
    ):
        read_log(path)
    log = read_log(path, on_error="skip")
    assert log.names("call_id").tolist() == ["c1", "c2"]
    assert len(log.skipped) == 1
    between = write(whole[: whole.index('{"id": "c3"')], "y.json")
    with pytest.raises(CorpusError, match="cut off: the file ends before its array does"):
        read_log(between)
    bad = write(whole.replace('"id": "c2"', '"id": c2'), "z.json")
    log = read_log(bad, on_error="skip")
    assert log.names("call_id").tolist() == ["c1", "c3"]
    assert str(log.skipped[0]).startswith(f"{bad}, row 2: not valid JSON: ")


def test_times_that_cannot_be_are_not_recorded_and_counted(write: Write) -> None:
    start = payload(0)["startTime"]
    records = [
        payload(0, endTime=start - 1),
        payload(1, endTime=payload(1)["startTime"]),
        payload(2, completionStartTime=payload(2)["startTime"] + 9),
        payload(3, completionStartTime=payload(3)["startTime"] - 9),
        payload(4, completionStartTime=payload(4)["endTime"]),  # not streamed
    ]
    log = read_log(write(lines(*records), "x.jsonl"))
    assert np.isnan(log.numbers("latency")).tolist() == [True, True, False, False, False]
    assert np.isnan(log.numbers("ttft")).tolist() == [False, False, True, True, True]
    assert log.notes == (
        "1 call ends before it begins (the first: c0): their latency is taken as not recorded",
        "1 call takes no time (the first: c1): their latency is taken as not recorded",
        "1 call has the first token before the start: its time is taken as not recorded",
        "1 answered call has the first token after the end: its time is taken as not recorded",
    )


def test_clocks_that_run_backwards_are_counted(write: Write) -> None:
    log = read_log(write(lines(payload(2), payload(1), payload(3)), "x.jsonl"))
    assert log.names("call_id").tolist() == ["c1", "c2", "c3"]
    assert log.texts().to_pylist() == ["task 1", "task 2", "task 3"]
    assert log.notes == ("1 call was unsorted: sorted by time",)
    log = read_log(write(lines(payload(2), payload(1, startTime=None)), "y.jsonl"))
    assert not log.has_arrivals
    assert "1 call has no time" in log.notes[0]


def test_repeated_records_are_left_out_and_other_calls_of_an_id_are_tries(write: Write) -> None:
    again = payload(1, startTime=1748851290, endTime=1748851291, completionStartTime=None)
    log = read_log(write(lines(payload(1), payload(2), payload(1), again), "x.jsonl"))
    assert log.names("call_id").tolist() == ["c1", "c2", "c1#2"]
    assert log.names("task_id").tolist() == ["c1", "c2", "c1"]
    assert dict(log.left_out) == {"records that repeat an earlier one (the first: c1)": 1}
    assert log.notes == (
        "1 call was unsorted: sorted by time",
        "1 call has the id of an earlier one: further tries of its task",
    )
    corpus = log.corpus()
    assert len(corpus) == 2
    assert "1 records that repeat an earlier one (the first: c1) left out" in corpus.notes


def test_tries_of_a_task_are_calls_that_follow_a_failed_one_in_its_session(write: Write) -> None:
    def call(number: int, start: float, **changes: Any) -> dict[str, Any]:
        times = {"startTime": start, "endTime": start + 1, "completionStartTime": None}
        return payload(number, trace_id="s", **times) | changes

    failed = {"status": "failure", "model": "big"}
    records = [
        call(1, 1748851200.0, **failed),
        call(2, 1748851202.0, **failed),  # a try of 1
        call(3, 1748851204.0, model="small"),  # the last try
        call(4, 1748851206.0),  # another task
        call(5, 1748851300.0, **failed),
        call(6, 1748851300.5),  # began before 5 was over
        call(7, 1748851400.0, **failed),
        call(8, 1748851999.0),  # too late to be a try
    ]
    log = read_log(write(lines(*records), "x.jsonl"))
    assert log.names("task_id").tolist() == ["c1", "c1", "c1", "c4", "c5", "c6", "c7", "c8"]
    corpus = log.corpus()
    assert corpus.agents == ("big", "small", "m")
    assert np.nan_to_num(corpus.outcomes["failed"][0], nan=-1).tolist() == [1, 0, -1]
    assert (
        "1 earlier try of the same agent for the same task: the last one counts here; fits see all"
        in corpus.notes
    )


def test_a_folder_is_one_log_and_others_in_it_are_named(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.jsonl").write_text(lines(payload(2)))
    (tmp_path / "a.json").write_text(json.dumps([payload(1), payload(3)]))
    (tmp_path / "README.md").write_text("what it is")
    (tmp_path / ".hidden.json").write_text("[]")
    log = read_log(tmp_path)
    assert log.names("call_id").tolist() == ["c1", "c2", "c3"]
    assert log.texts().to_pylist() == ["task 1", "task 2", "task 3"]
    assert log.notes == (
        "1 file of the folder without calls left: README.md",
        "1 call was unsorted: sorted by time",
    )
    shutil.copy(SAMPLES / "openrouter_activity.csv", tmp_path)
    with pytest.raises(CorpusError) as caught:
        read_log(tmp_path)
    assert "files of several tools: litellm (2 files, such as " in str(caught.value)
    assert "openrouter (1 file, such as " in str(caught.value)
    (tmp_path / "openrouter_activity.csv").write_text("a,b\n1,2\n")
    with pytest.raises(CorpusError, match=r"openrouter_activity\.csv: is of no shape"):
        read_log(tmp_path)
    with pytest.raises(CorpusError, match="no such file or folder"):
        read_log(tmp_path / "nowhere")


def test_milliseconds_are_told_by_the_ends_of_the_calls() -> None:
    frame = pd.read_csv(SAMPLES / "langfuse_observations.csv")
    frame["latency"] *= 1000
    log = read_log(frame)
    assert log.numbers("latency").tolist() == [1.75, 30.0]
    assert "latency: read as milliseconds, as the calls' ends show" in log.notes


def test_cached_tokens_that_are_counted_apart_are_added_to_the_prompts() -> None:
    """As Anthropic counts them: of "a" in one call it shows, so in all; of "b" it never does."""
    columns = {
        "agent": ["a", "a", "a", "b"],
        "prompt_tokens": [31, 2_000, 50, 2_000],
        "cached_tokens": [0, 500, 0, 500],
        "cache_write_tokens": [1_253, 100, 0, 100],
    }
    log = read_log(pd.DataFrame(columns))
    assert log.numbers("prompt_tokens").tolist() == [1_284, 2_600, 50, 2_000]
    assert (
        "1 call with more cached tokens than prompt tokens: of the 2 calls of the same agents with "
        "any, the prompt's are the sum" in log.notes
    )
    [first, *_] = log.corpus().to_frame()["cache_write_tokens"]
    assert first == 1_253


def test_texts_are_read_when_they_are_asked_for(write: Write) -> None:
    path = write(lines(payload(1), payload(2)), "x.jsonl")
    log, other = read_log(path), read_log(path)
    early, late = log.split(at=0.5)
    assert late.texts().to_pylist() == ["task 2"]
    write(lines(payload(1), payload(7)), "x.jsonl")
    with pytest.raises(CorpusError, match="has changed since the log was read"):
        early.texts()
    path.unlink()
    with pytest.raises(CorpusError, match=r"it is gone .*; keep it until log\.corpus\(\)"):
        other.corpus()
    assert late.texts().to_pylist() == ["task 2"]


def test_plug_ins_add_shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    (tmp_path / "our_tool.py").write_text(
        "from routingsim.corpora.logs.shape import Shape\n"
        "SHAPE = Shape('ours', 'our gateway', {'call_id': 'key', 'latency': 'took:ms'},\n"
        "              always=('key', 'took'))\n"
    )
    about = tmp_path / "our_tool-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Name: our-tool\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[routingsim.logs]\nours = our_tool:SHAPE\nbroken = our_tool:NOTHING\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    registry._plugged_in.cache_clear()
    try:
        with pytest.raises(CorpusError, match=r"source 'broken' cannot be loaded from our-tool"):
            registry.shapes()
        (about / "entry_points.txt").write_text("[routingsim.logs]\nours = our_tool:SHAPE\n")
        log = read_log(write('{"key": "k", "took": 1500}\n', "x.jsonl"))
        assert log.tools == ("ours",)
        assert log.numbers("latency").tolist() == [1.5]
    finally:
        monkeypatch.undo()
        registry._plugged_in.cache_clear()
    assert all(isinstance(each, Shape) for each in registry.shapes().values())


# -- CallLog ----------------------------------------------------------------------------


def test_a_log_shows_sums_and_splits_itself() -> None:
    log = rs.read_log(SAMPLES / "litellm_spend_logs.json")
    table = log.summary()
    assert table.index.tolist() == ["gpt-4o", "gpt-4o-mini", "all"]
    assert table.loc["gpt-4o", ["calls", "ok", "timed_out", "cached"]].tolist() == [3, 1, 1, 1]
    assert table.loc["all", "share"] == 1
    assert table.loc["gpt-4o", "latency_p50"] == 1.75
    assert table.loc["all", "cost"] == pytest.approx(0.000875)
    assert math.isnan(table.loc["all", "quality"])
    for shown in (repr(log), log._repr_html_(), log.to_markdown()):
        assert "endTime" in shown
        assert "1 calls of another kind (aembedding)" in shown
    assert "<table" in log._repr_html_()
    assert log.to_dict()["began"] == "2025-06-02T08:00:00.250000+00:00"

    early, late = log.split(at="2025-06-02T08:00:10Z")
    assert (len(early), len(late)) == (2, 2)
    assert late.names("call_id").tolist() == ["chatcmpl-B3", "chatcmpl-B4"]
    assert late.numbers("arrived_at").tolist() == [13.75, 59.75]  # on the same clock
    assert len(log.split(at=0.2)[0]) == 2
    with pytest.raises(CorpusError, match="at is 1; expected a share above 0 and below 1"):
        log.split(at=1)
    with pytest.raises(CorpusError, match="no call is after 2030"):
        log.split(at="2030-01-01")


def test_a_log_is_read_again_from_its_own_table(tmp_path: Path) -> None:
    log = read_log(SAMPLES / "litellm_spend_logs.json")
    log.to_frame(texts=True).to_csv(tmp_path / "log.csv", index=False)
    again = read_log(tmp_path / "log.csv")
    assert again.tools == ("calls",)
    pd.testing.assert_frame_equal(again.calls, log.calls, check_categorical=False)
    assert again.texts().equals(log.texts())


def test_a_corpus_has_a_row_a_task_and_outcomes_of_the_agents_that_were_called() -> None:
    corpus = read_log(SAMPLES / "litellm_spend_logs.json").corpus()
    assert corpus.tasks["id"].tolist() == ["chatcmpl-B1", "chatcmpl-B2", "chatcmpl-B4"]
    assert corpus.tasks["arrived_at"].tolist() == [0.0, 2.75, 59.75]
    assert corpus.tasks["prompt_tokens"].tolist() == [90.0, 20.0, 90.0]
    assert corpus.tasks["output_tokens"].tolist() == [60.0, 100.0, 60.0]
    assert corpus.tasks["category"].tolist() == ["support", "", ""]
    assert corpus.agents == ("gpt-4o", "gpt-4o-mini")
    failed = np.nan_to_num(corpus.outcomes["failed"], nan=-1)
    assert failed.tolist() == [[0, -1], [1, 0], [-1, -1]]  # the last one came from a cache
    assert np.nan_to_num(corpus.outcomes["latency"]).tolist() == [[1.75, 0], [10, 1.5], [0, 0]]
    assert "1 call answered from a cache: no outcome of an agent" in corpus.notes
    assert len(corpus.sha256) == 64


@pytest.mark.slow
def test_agents_are_fitted_to_a_log(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    tokens = rng.integers(20, 400, 80)
    records = [
        payload(k, completion_tokens=int(n), endTime=payload(k)["startTime"] + 0.5 + n / 50,
                response_cost=float(2e-6 * (10 + n)))
        for k, n in enumerate(tokens)
    ]  # fmt: skip
    (tmp_path / "log.jsonl").write_text(lines(*records))
    pool, fits = read_log(tmp_path / "log.jsonl").fit_pool(concurrency=4)
    assert pool.ids == ("m",)
    assert pool["m"].cost == pytest.approx(0.002)
    assert fits["m"].tokens_per_second is not None
    assert fits["m"].tokens_per_second.value == pytest.approx(50, rel=0.01)


def test_what_is_no_log_is_refused() -> None:
    for wrong in (3, None):
        with pytest.raises(CorpusError, match="log: expected a path, several paths, a DataFrame"):
            read_log(wrong)  # pyright: ignore[reportArgumentType]
    with pytest.raises(CorpusError, match="frame: holds no call"):
        read_log(pd.DataFrame({"agent": [], "latency": []}))
    with pytest.raises(CorpusError, match="on_error is 'ignore'"):
        read_log(SAMPLES / "mooncake.jsonl", on_error="ignore")
    with pytest.raises(CorpusError, match="dates is 'any'"):
        read_log(SAMPLES / "mooncake.jsonl", dates="any")


def test_a_log_pickles_and_copies(tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    path.write_text("agent,latency,arrived_at,text\na,1.5,0,Hi\nb,2,1,Why?\n", encoding="utf-8")
    log = read_log(path)
    copies = (pickle.loads(pickle.dumps(log)), copy.deepcopy(log))
    path.unlink()  # a copy has its texts
    for again in copies:
        assert again.calls.equals(log.calls)
        assert (again.name, again.columns, again.sha256) == (log.name, log.columns, log.sha256)
        assert again.corpus().tasks["text"].tolist() == ["Hi", "Why?"]
