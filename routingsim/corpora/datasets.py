"""Corpora by name or path: the shipped one, the public ones, and the user's own.

Public corpora are fetched once from the commit named here, checked against their
sha256 and kept in :func:`data_folder`. A file already there is checked the same
way and never changed.
"""

import hashlib
import os
import sys
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path

import pandas as pd
import pooch

from routingsim.corpora.catalogue import DATASETS, Dataset
from routingsim.corpora.corpus import Corpus
from routingsim.corpora.formats import draft
from routingsim.corpora.readers import read_bytes, shown
from routingsim.corpora.validation import Column, Draft, check
from routingsim.errors import CorpusError

__all__ = ["data_folder", "list_corpora", "load_corpus"]

MMLU_FILES = 57
"""How many subjects MMLU has, one file each."""


def data_folder() -> Path:
    """Where public corpora are kept: ``ROUTINGSIM_DATA``, or the user's cache folder."""
    return Path(os.environ.get("ROUTINGSIM_DATA") or pooch.os_cache("routingsim"))


def load_corpus(
    name_or_path: str | os.PathLike[str],
    *,
    format: str | None = None,
    on_error: str = "raise",
    agents: Collection[str] | None = None,
) -> Corpus:
    """A corpus or trace, by name or from a file.

    Parameters
    ----------
    name_or_path : str or path
        "tasks" for the shipped corpus, a name of
        :data:`routingsim.corpora.catalogue.DATASETS`, or the path of a file, gzipped or
        not. A name goes before a file of the same name.
    format : str, optional
        One of :data:`routingsim.corpora.formats.FORMATS`. Default: by the file's content.
    on_error : {"raise", "skip"}
        Whether a bad record is an error, or is left out and listed in ``skipped``.
    agents : collection of str, optional
        The names under which outcomes may be recorded; another is a bad record.
        Default: any.

    Raises
    ------
    CorpusError
        If there is no such corpus, it cannot be fetched, or a record is bad.
    """
    name = os.fspath(name_or_path)
    if name == "mmlu":
        return _load_mmlu(DATASETS[name], on_error, agents)
    dataset = DATASETS.get(name)
    if dataset:
        path, source, format = _fetched(dataset), dataset.url, format or dataset.format
    elif name == "tasks":
        path, source = _shipped(), "data/tasks.jsonl"
    else:
        path, source = Path(name), name
        if not path.exists():
            raise CorpusError(_not_found(name))
        name = path.name.removesuffix(".gz")
        name = name.rpartition(".")[0] or name
    data = read_bytes(path)
    digest = hashlib.sha256(data).hexdigest()
    if dataset and digest != dataset.sha256:
        raise CorpusError(
            f"{path}: is not the published {name} (sha256 {digest}, expected {dataset.sha256}); "
            f"move it away to have it fetched from {dataset.url}, or load it by its path with "
            f"format={dataset.format!r}"
        )
    return _corpus([draft(data, str(path), name, format)], name, source, digest, on_error, agents)


def list_corpora() -> pd.DataFrame:
    """The shipped and the public corpora: a row each, with whether the file is here.

    Returns
    -------
    DataFrame
        Columns name, records (NA where not known), what, licence, present, file.
    """
    shipped = _shipped()
    rows = [("tasks", _count(shipped), "shipped: tasks of many kinds", "MIT", shipped)]
    rows += [
        (each.name, each.records, each.description, each.licence, data_folder() / each.file)
        for each in DATASETS.values()
    ]
    frame = pd.DataFrame(rows, columns=["name", "records", "what", "licence", "file"])
    frame["records"] = frame["records"].astype("Int64")
    frame.insert(4, "present", [path.exists() for path in frame["file"]])
    frame["file"] = [str(path) for path in frame["file"]]
    return frame


def _corpus(
    drafts: Sequence[Draft],
    name: str,
    source: str,
    sha256: str,
    on_error: str,
    agents: Collection[str] | None,
    notes: Sequence[str] = (),
) -> Corpus:
    table, skipped = check(drafts, on_error=on_error, agents=agents)
    said = [*notes, *(note for each in drafts for note in each.notes)]
    return Corpus.of_table(
        table, name=name, source=source, sha256=sha256, notes=said, skipped=skipped
    )


def _shipped() -> Path:
    packed = Path(str(files("routingsim"))) / "data" / "tasks.jsonl"
    return packed if packed.exists() else Path(__file__).parents[2] / "data" / "tasks.jsonl"


def _count(path: Path) -> int | None:
    return (
        sum(1 for line in path.read_bytes().splitlines() if line.strip()) if path.exists() else None
    )


def _not_found(path: str) -> str:
    names = ["tasks", *DATASETS]
    near = get_close_matches(path, names, n=1)
    hint = f"; did you mean {shown(near[0])}?" if near else ""
    return f"{path}: no such file, nor a corpus of that name; names are {', '.join(names)}{hint}"


def _fetched(dataset: Dataset) -> Path:
    """The file of a public corpus, fetched and checked by its hash where it is not there."""
    path = data_folder() / dataset.file
    # pooch would overwrite a file with another hash; one that is there is left alone.
    if not path.exists():
        try:
            pooch.retrieve(
                dataset.url,
                known_hash=dataset.sha256,
                fname=dataset.file,
                path=path.parent,
                progressbar=sys.stderr.isatty(),
            )
        except (OSError, ValueError) as error:
            raise CorpusError(
                f"{dataset.name}: {path} is not there and could not be fetched "
                f"({type(error).__name__}: {error}); download {dataset.url} and put it there, or "
                "set ROUTINGSIM_DATA to the folder that holds it"
            ) from error
    return path


def _load_mmlu(dataset: Dataset, on_error: str, agents: Collection[str] | None) -> Corpus:
    folder = data_folder() / dataset.file
    paths = sorted(folder.glob("mmlu_*.csv"))
    if not paths:
        raise CorpusError(
            f"mmlu: no mmlu_<subject>.csv in {folder}; clone https://github.com/"
            f"{dataset.repository} at {dataset.commit} and copy {dataset.path}/*.csv there, or set "
            "ROUTINGSIM_DATA to the folder that holds mmlu/"
        )
    digest = hashlib.sha256()
    drafts = []
    for path in paths:
        data = read_bytes(path)
        digest.update(data)
        subject = path.stem.removeprefix("mmlu_")
        each = draft(data, str(path), f"mmlu-{subject}", dataset.format)
        each.columns["category"] = Column("category", [subject] * len(each.rows))
        drafts.append(each)
    notes = []
    if len(paths) != MMLU_FILES:
        notes.append(f"{len(paths)} of {MMLU_FILES} subjects are in {folder}")
    url = f"https://github.com/{dataset.repository}/tree/{dataset.commit}/{dataset.path}"
    return _corpus(drafts, "mmlu", url, digest.hexdigest(), on_error, agents, notes)
