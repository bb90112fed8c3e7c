"""Files to write are checked before any work: nothing is read, and nothing written."""

from pathlib import Path

import pytest

from .running import in_process

REPLAY = ["replay", "nothing"]  # no such corpus: what is said of it would come later
COMPARE = ["compare", "nothing"]
CAPACITY = ["capacity", "nothing", "--arrivals", "poisson:1", "--slots", "gpt-4=1"]
REPORT = ["report", "nothing"]


@pytest.mark.parametrize(
    ("command", "option", "name", "said"),
    [
        (COMPARE, "--report", "x", ".pdf, .md, .json or .ipynb, found no suffix"),
        (COMPARE, "--report", "x.txt", ".htm, .pdf, .md, .json or .ipynb, found .txt"),
        (COMPARE, "--report", "no/x.pdf", "cannot be written"),
        (COMPARE, "--runs-to", "x.xlsx", "--runs-to needs a file that ends in .csv, .parquet or"),
        (COMPARE, "--resume", "no/x.jsonl", "cannot be written (No such file or directory); name"),
        (REPLAY, "--report", "x.doc", ".md, .json or .ipynb, found .doc"),
        (REPLAY, "--json", "x.txt", "--json needs a file that ends in .json, found .txt"),
        (REPLAY, "--json", "no/x.json", "name a file in a folder that exists and that you may"),
        (REPLAY, "--json", "/proc/x.json", "/proc/x.json: cannot be written"),
        (REPLAY, "--tasks-to", "x.tsv", "--tasks-to needs a file that ends in .csv, .parquet or"),
        (REPLAY, "--trace-to", "x.csv", "--trace-to needs a file that ends in .json, found .csv"),
        (CAPACITY, "--pools-to", "x.html", "--pools-to needs a file that ends in .csv, .parquet"),
        (CAPACITY, "--agents-to", "x.yaml", "--agents-to needs a file that ends in .toml, found"),
        (REPORT, "-o", "x.txt", "--output needs a file that ends in .html, .htm, .pdf, .md, .json"),
        (REPORT, "-o", "no/x.ipynb", "cannot be written"),
        (["fit", "nothing"], "-o", "x.json", "--output needs a file that ends in .toml"),
        (["train", "nothing"], "-o", "x.pkl", "--output needs a file that ends in .npz or .zip"),
        (["check", "nothing"], "--json", "x.md", "--json needs a file that ends in .json"),
    ],
)
def test_a_file_that_cannot_be_written_is_named_first(
    command: list[str],
    option: str,
    name: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = in_process(*command, option, name)
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (2, "", 1)
    assert ran.stderr.startswith(f"error: {name}: ")
    assert said in ran.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--report", "--json", "--tasks-to", "--trace-to"])
def test_a_folder_is_no_file(option: str, tmp_path: Path) -> None:
    ran = in_process("replay", "nothing", option, tmp_path)
    assert (ran.returncode, ran.stderr) == (
        2, f"error: {tmp_path}: is a folder; name a file in it\n",
    )  # fmt: skip


def test_no_output_replaces_an_input_or_another_output(own: Path) -> None:
    before = own.read_bytes()
    ran = in_process("replay", own, "--tasks-to", own)
    assert (ran.returncode, ran.stderr) == (
        2, f"error: {own}: is read by this command, which would replace it; name another file\n",
    )  # fmt: skip
    assert own.read_bytes() == before
    both = own.parent / "x.json"
    ran = in_process("replay", own, "--json", both, "--report", both)
    assert (ran.returncode, ran.stderr) == (
        2, f"error: {both}: is named for two outputs; name another file\n",
    )  # fmt: skip


@pytest.mark.slow
def test_what_can_be_written_is(own: Path) -> None:
    notebook, page = own.parent / "r.ipynb", own.parent / "R.HTML"
    given = ["--arrivals", "poisson:2", "-p", "cheapest"]
    ran = in_process("replay", own, *given, "--report", notebook)
    assert (ran.returncode, ran.stderr.splitlines()[-1]) == (0, f"report: {notebook}")
    assert "policies = ['cheapest']" in notebook.read_text(encoding="utf-8")
    again = own.parent / "again.ipynb"
    assert in_process("report", own, *given, "-o", again).returncode == 0
    assert again.read_text(encoding="utf-8") == notebook.read_text(encoding="utf-8")
    assert in_process("replay", own, *given, "--report", page).returncode == 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
