"""Names that a shell completes. Nothing here loads the compiler or pandas, which takes seconds."""

import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from routingsim.files import bundled

POLICIES = (
    "blend", "cascade", "cheapest", "epsilon-greedy", "fastest", "file", "fs-qmix", "kmeans", "knn",
    "least-loaded", "linucb", "logged", "logistic", "power-of-two", "random", "ridge",
    "round-robin", "shortest-wait", "static", "thompson", "threshold", "ucb1", "utility",
    "weighted",
)  # fmt: skip
"""The names of :func:`routingsim.policies.recipes`, which a test compares."""


def among(*names: str) -> Callable[[str], list[str]]:
    """What completes one of some names."""

    def complete(incomplete: str) -> list[str]:
        return [_word(name) for name in names if name.startswith(incomplete)]

    return complete


complete_policy = among(*POLICIES)
"""Names of policies that begin like this."""


def complete_pool(incomplete: str) -> list[str]:
    """Names of built-in pools that begin like this, and agents files."""
    stems = [path.stem for path in sorted(bundled("data").glob("agents*.toml"))]
    names = [stem.removeprefix("agents").removeprefix("-") or "default" for stem in stems]
    return _with_files(names, incomplete, suffix=".toml")


def complete_corpus(incomplete: str) -> list[str]:
    """Names of corpora that begin like this, and files."""
    from routingsim.corpora.catalogue import BUNDLED, DATASETS

    return _with_files((*BUNDLED, *DATASETS), incomplete)


def _with_files(names: Iterable[str], incomplete: str, suffix: str = "") -> list[str]:
    """Names and files that begin like this; none where no name does: a shell then has the files."""
    found = [name for name in names if name.startswith(incomplete)]
    if not found:
        return []
    files = []
    with suppress(OSError):  # of a folder that is gone, or may not be read
        files = [
            f"{path.name}/" if path.is_dir() else path.name
            for path in sorted(Path().iterdir())
            if path.name.startswith(incomplete) and (incomplete or path.name[0] != ".")
        ]
    return found + [_word(name) for name in files if name.endswith((suffix, "/"))]


def _word(text: str) -> str:
    """A value as one word, which other shells than Bash make of it themselves."""
    if os.environ.get("_ROUTINGSIM_COMPLETE") != "complete_bash":
        return text
    return re.sub(r"[^\w./:=@%+,-]", r"\\\g<0>", text)
