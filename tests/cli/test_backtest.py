"""``routingsim backtest`` and ``whatif``: from a file to a report, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from routingsim.cli.whatif import _prices
from routingsim.errors import RoutingSimError

from .running import in_process


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    """A log of 600 calls of two agents."""
    rng = np.random.default_rng(3)
    path = tmp_path / "calls.csv"
    agent = rng.choice(["big", "small"], 600)
    pd.DataFrame(
        {
            "agent": agent,
            "arrived_at": np.arange(600) * 2.0,
            "latency": rng.lognormal(0, 0.3, 600).round(3),
            "prompt_tokens": 100,
            "output_tokens": 100,
            "cost": np.where(agent == "big", 0.02, 0.002),
        }
    ).to_csv(path, index=False)
    return path


@pytest.mark.slow
def test_one_command_from_a_log_to_a_report(calls: Path, tmp_path: Path) -> None:
    report, document = tmp_path / "b.html", tmp_path / "b.json"
    ran = in_process("backtest", calls, "--report", report, "--json", document)
    assert ran.returncode == 0, ran.stderr
    sentence = json.loads(document.read_text())["sentence"]
    assert " ".join(ran.stdout.split()).startswith(f"O{sentence[1:]}.")
    page = report.read_text(encoding="utf-8")
    assert f"O{sentence[1:]}." in page
    assert page.count("<svg") >= 2
    assert "Do its intervals hold?" in page
    # Every later report on the log has it.
    later = tmp_path / "later.html"
    ran = in_process("replay", calls, "-p", "cheapest", "--report", later)
    assert sentence in " ".join(ran.stdout.split())
    assert f"O{sentence[1:]}." in later.read_text(encoding="utf-8")


@pytest.mark.slow
def test_what_if_writes_policies_and_backtest(calls: Path, tmp_path: Path) -> None:
    report = tmp_path / "w.html"
    asked = ["-p", "least-loaded", "--shift", "2x", "--without", "big", "--price", "small=0.1"]
    ran = in_process("whatif", calls, *asked, "--report", report)
    assert ran.returncode == 0, ran.stderr
    said = " ".join(ran.stdout.split())
    assert said.startswith("What if: 2 times the traffic, without big, small at cost 0.1 USD, on")
    page = report.read_text(encoding="utf-8")
    for heading in ("What if?", "Can the waits be believed?", "Would the simulator have predicted"):
        assert heading in page


@pytest.mark.parametrize("command", ["backtest", "whatif"])
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ("nothing", "no such file or folder"),
        ("cut", "row 2: cut off: the file ends in the middle of a record"),
        ("mixed", "files of several tools: calls (1 file, such as"),
        ("strange", "and latency; to start from: --map agent=model,latency=took"),
        ("timeless", "has no arrived_at (when each call began)"),
        ("failed", "too few answered calls to fit: no agent has 5 in the first part"),
        ("broken", "latency: expected a number, found 'soon'"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    command: str, changes: str, said: str, tmp_path: Path
) -> None:
    call = {"agent": "a", "arrived_at": 1.0, "latency": 1.0}
    path = tmp_path / f"{changes}.json"
    if changes == "cut":
        path.write_text(json.dumps([call, call])[:-5])
    elif changes == "mixed":
        path = tmp_path / "folder"
        path.mkdir()
        pd.DataFrame([call] * 9).to_csv(path / "a.csv", index=False)
        usage = {"generation_id": "g", "created_at": "2025-06-02 08:00:00", "tokens_prompt": 9,
                 "model_permaslug": "m", "tokens_completion": 6, "cost_total": 0.1,
                 "generation_time_ms": 17, "finish_reason_normalized": "stop"}  # fmt: skip
        (path / "b.jsonl").write_text(json.dumps(usage))
    elif changes != "nothing":
        rows = {
            "strange": [{"took": 1.0, "model": "m"}] * 9,
            "timeless": [{"agent": "a", "latency": 1.0 + k} for k in range(9)],
            "failed": [call | {"arrived_at": k, "status": "failed"} for k in range(9)],
            "broken": [call, call | {"latency": "soon"}],
        }[changes]
        path.write_text(json.dumps(rows))
    ran = in_process(command, path)
    *_, last = ran.stderr.strip().splitlines()
    assert ran.returncode == 2
    assert last.startswith("error: ")
    assert said in last
    assert "Traceback" not in ran.stderr


@pytest.mark.slow
def test_what_a_reader_mends_is_counted(calls: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(calls)
    frame["id"] = [f"r{k % 500}" for k in range(600)]
    frame["arrived_at"] = frame["arrived_at"].to_numpy()[::-1]  # the clock runs backwards
    path = tmp_path / "odd.csv"
    frame.to_csv(path, index=False)
    ran = in_process("backtest", path, "--json", tmp_path / "b.json")
    assert ran.returncode == 0, ran.stderr
    assert "odd: the newest call was first: turned round" in ran.stderr
    assert "odd: 100 calls have the id of an earlier one: further tries of its task" in ran.stderr


@pytest.mark.parametrize("command", ["backtest", "whatif"])
def test_outputs_are_checked_before_work(command: str, calls: Path, tmp_path: Path) -> None:
    for option, file, said in (
        ("--report", "r.txt", "--report needs a file that ends in .html"),
        ("--json", "r.txt", "--json needs a file that ends in .json"),
        ("--report", "none/r.html", "cannot be written"),
    ):
        ran = in_process(command, calls, option, tmp_path / file)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert said in ran.stderr


def test_prices_on_the_command_line() -> None:
    assert _prices(["gpt-4=0.02", "b:input=2", "b:output=8"]) == {
        "gpt-4": {"cost": 0.02},
        "b": {"input": 2.0, "output": 8.0},
    }
    assert _prices(["x/llama:free:input=1"]) == {"x/llama:free": {"input": 1.0}}
    for wrong in ("gpt-4", "gpt-4=cheap", "=2"):
        with pytest.raises(RoutingSimError, match="an agent and its price are needed"):
            _prices([wrong])


@pytest.mark.slow
def test_any_command_takes_the_agents_of_a_log(calls: Path, tmp_path: Path) -> None:
    ran = in_process("replay", calls, "--agents", "log", "-p", "logged", "--json", "-")
    found = json.loads(ran.stdout)["policies"][0]
    served = pd.read_csv(calls)["agent"].value_counts()
    assert {row["agent"]: row["tasks"] for row in found["agents"]} == served.to_dict()
    note = tmp_path / "r.ipynb"
    ran = in_process("report", calls, "--agents", "log", "-p", "logged", "-o", note)
    assert ran.returncode == 2
    assert f"write them with routingsim fit {calls} -o FILE.toml" in ran.stderr
    assert not note.exists()
