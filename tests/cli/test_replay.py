"""``routingsim replay``, as a user meets it."""

import json
from pathlib import Path

import pandas as pd
import pytest

import routingsim as rs

from .running import in_process, invoke, routingsim

KEYS = {"tasks", "throughput", "latency_mean", "latency_p50", "latency_p95", "latency_p99",
        "wait_mean", "cost", "quality"}  # fmt: skip
AGENT_KEYS = {"agent", "tasks", "share", "utilisation", "wait_mean", "latency_p50", "latency_p95",
              "cost", "quality"}  # fmt: skip


@pytest.mark.slow
def test_json_is_one_document_and_nothing_else(own: Path) -> None:
    ran = in_process("replay", own, "-p", "threshold", "-p", "static:gpt-4", "--arrivals",
                     "poisson:2", "--seed", "1", "--json", "-")  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("\n") == 1
    said = json.loads(ran.stdout, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert (said["corpus"], said["tasks"], said["seed"]) == ("mine", 3, 1)
    assert [each["policy"] for each in said["policies"]] == ["threshold", "static:gpt-4"]
    for each in said["policies"]:
        assert each["overall"].keys() >= KEYS
        assert [agent["agent"] for agent in each["agents"]] == [
            "claude", "gpt-4", "gemini", "llama", "mistral",
        ]  # fmt: skip
        assert all(agent.keys() >= AGENT_KEYS for agent in each["agents"])
    only = said["policies"][1]
    assert only["overall"]["quality"] == 0.75
    assert only["agents"][0]["latency_p50"] is None
    assert isinstance(only["overall"]["tasks"], int)


@pytest.mark.slow
def test_intervals_are_made_when_asked_for(own: Path) -> None:
    command = "replay", own, "-p", "cheapest", "--arrivals", "poisson:2"
    assert "95 % CI" not in in_process(*command).stdout
    ran = in_process(*command, "--intervals")
    assert ran.returncode == 0, ran.stderr
    said = " ".join(ran.stdout.split())
    assert "cheapest, 95 % CI in s: wait mean " in said
    assert "; 10 further runs, other days with the same tasks" in said
    document = json.loads(
        in_process(*command, "--intervals", "--precision", "0.5", "--json", "-").stdout
    )
    found = document["policies"][0]["intervals"]["latency_p95"]
    assert found["low"] < found["mean"] < found["high"]
    assert found["high"] - found["low"] <= found["mean"]
    assert found["runs"] >= 10
    assert found["method"].endswith("; to 0.5 of the mean")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--days",), "--precision and --days are of --intervals: add --intervals"),
        (("--intervals", "--precision", "0"), "precision=0.0; a share of the mean above 0"),
        (
            ("--intervals", "--days"),
            "days=True draws days from recorded times, and poisson:2 makes",
        ),
    ],
)
def test_intervals_that_cannot_be_had_are_an_error_in_one_line(
    own: Path, given: tuple[str, ...], said: str
) -> None:
    ran = in_process("replay", own, "--arrivals", "poisson:2", *given)
    assert ran.returncode == 2
    assert said in ran.stderr
    assert ran.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_seed_repeats_byte_for_byte(own: Path) -> None:
    command = ("replay", own, "-p", "random", "--arrivals", "gamma:2,cv=2", "--json", "-")
    first, other = (in_process(*command, "--seed", seed).stdout for seed in "12")
    again = routingsim(*command, "--seed", "1").stdout  # in another process
    assert first
    assert first == again
    assert first != other


@pytest.mark.slow
def test_the_order_of_dates_is_an_option(own: Path) -> None:
    own.write_text("id,text,arrived_at\n1,a,10/6/2023 12:37 AM\n2,b,10/7/2023 12:37 AM\n")
    refused = in_process("replay", own)
    assert refused.returncode == 2
    assert "can be 2023-10-06 00:37:00 or 2023-06-10 00:37:00" in refused.stderr
    ran = in_process("replay", own, "--dates", "day first", "--json", "-")
    assert ran.returncode == 0, ran.stderr
    assert "counted in seconds from 2023-06-10T00:37:00+00:00" in ran.stderr


@pytest.mark.slow
def test_bad_records_are_skipped_and_counted(own: Path) -> None:
    with own.open("a") as file:
        file.write("a,again,\nd,,2.5\n")
    refused = in_process("replay", own, "--arrivals", "poisson:2")
    assert refused.returncode == 2
    assert "mine.csv:5" in refused.stderr
    ran = in_process("replay", own, "--arrivals", "poisson:2", "--on-error", "skip", "--json", "-")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["tasks"] == 3
    assert "2 records were skipped" in ran.stderr


def test_what_a_log_did_is_its_first_policy(tmp_path: Path) -> None:
    """Where no policy is asked for, as a baseline; nowhere else."""
    log, agents = tmp_path / "log.csv", tmp_path / "agents.toml"
    rows = ["id,text,outcomes.a.quality,outcomes.b.quality"]
    rows += [f"{k},say {k},{'1,' if k % 2 else ',0.5'}" for k in range(60)]
    log.write_text("\n".join(rows) + "\n")
    agents.write_text(
        "".join(f'[[agents]]\nid="{a}"\nname="{a}"\ncost=1.0\nlatency=1.0\n' for a in "ab")
    )
    given = ("replay", log, "--agents", agents, "--arrivals", "poisson:1", "--json", "-")
    names = [each["policy"] for each in json.loads(invoke(*given).stdout)["policies"]]
    assert names == ["logged", "threshold"]
    asked = json.loads(invoke(*given, "-p", "random").stdout)["policies"]
    assert [each["policy"] for each in asked] == ["random"]


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--slots=3", "concurrency is a field of agents: give it in their file, --agents FILE"),
        ("--rpm=3", "requests_per_minute is a field of agents"),
        ("--tpm=3", "tokens_per_minute is a field of agents"),
        ("--max-tokens=3", "output_tokens or context_window is a field of agents"),
        ("--max-retries=3", "retries are of a replay, as Retries(attempts=3) or --attempts 3"),
        ("--rate=3", "arrivals have a rate, as --arrivals poisson:4 (tasks/s)"),
    ],
)
def test_an_option_that_is_elsewhere_says_where_it_belongs(option: str, said: str) -> None:
    found = in_process("replay", "tasks", option)
    assert found.returncode == 2
    assert f"replay: no option {option[:-2]}; {said}" in " ".join(found.stderr.split())


@pytest.mark.slow
def test_a_large_folder_is_replayed_in_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = tmp_path / "many", tmp_path / "out"
    folder.mkdir()
    rs.load_corpus("tasks").write(folder / "0.parquet")
    command = ("replay", folder, "-p", "least-loaded", "--arrivals", "poisson:2")
    whole = json.loads(in_process(*command, "--json", "-").stdout)
    shares = ("--tenant", "a:share=0.5", "--tenant", "b:share=0.5")
    asked = in_process(*command, "--in-blocks", *shares, "--json", "-")
    assert [row["tenant"] for row in json.loads(asked.stdout)["policies"][0]["tenants"]] == [
        "a",
        "b",
    ]
    monkeypatch.setenv("ROUTINGSIM_STREAM_BYTES", "1000")
    found = in_process(*command, "--json", "-", "--tasks-to", out, "--intervals")
    assert f"{folder}: 542 tasks in 1 file, in blocks" in found.stderr.replace("\n", "")
    (mine,), (its,) = json.loads(found.stdout)["policies"], whole["policies"]
    assert mine["overall"]["tasks"] == its["overall"]["tasks"] == 542
    assert mine["overall"]["cost"] == pytest.approx(its["overall"]["cost"])
    assert len(pd.read_parquet(out)) == 542
    assert mine["intervals"]["latency_p95"]["method"].startswith("none: the run is too short")
    timed = ("--objective", "60", "--slo", "goodput=1")
    shown = in_process(*command, "--report", tmp_path / "r.md", *timed).stdout
    answered = "% of the tasks answered within 60 s; goodput is not known, as no quality"
    assert answered in " ".join(shown.split())
    refused = in_process(*command, *timed[2:])
    assert "--slo goodput: a replay in blocks needs --objective SECONDS" in refused.stderr
    assert "least-loaded  steady" in shown or "least-loaded  too short" in shown
    assert "Answer: " in shown
    assert "542 tasks of the files of “many”" in (tmp_path / "r.md").read_text(encoding="utf-8")
    page = in_process("report", *command[1:], "-o", "-", "--format", "md").stdout
    assert "The tasks were replayed in blocks: counts are exact" in page
    assert "percentiles are within 0.1% of the exact ones" in shown
    for option in (
        ["--trace-to", tmp_path / "r.json"],
        ["--tasks", 5],
        ["--live"],
    ):
        refused = in_process(*command, *option)
        assert refused.returncode == 2
        said = " ".join(refused.stderr.split())
        assert f"is replayed in blocks, and {option[0]} needs it in memory; leave it out" in said
    monkeypatch.delenv("ROUTINGSIM_STREAM_BYTES")
    refused = in_process(*command, "--tasks-to", tmp_path / "folder")
    assert "a folder is for a corpus that is replayed in blocks" in " ".join(refused.stderr.split())
