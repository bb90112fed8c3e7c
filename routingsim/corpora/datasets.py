"""Corpora by name, from a file or from a DataFrame.

Public corpora are fetched once from the commit in the catalogue, checked against their
sha256 and kept in :func:`data_folder`. A file that is there already is checked the same
way and never changed.
"""

import hashlib
import os
import sys
from collections.abc import Collection, Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

import pandas as pd
import pooch

from routingsim.corpora.catalogue import BUNDLED, DATASETS, Dataset
from routingsim.corpora.corpus import Corpus, CorpusLike
from routingsim.corpora.logs.blocks import sample
from routingsim.corpora.logs.json_blocks import list_inside, unwrapped
from routingsim.corpora.logs.log_files import stem
from routingsim.corpora.logs.own import are_calls
from routingsim.corpora.logs.read import read_log
from routingsim.corpora.logs.registry import closest, recognised, shapes
from routingsim.corpora.logs.wide import FORMATS, draft, format_of
from routingsim.corpora.numbers import RawColumn
from routingsim.corpora.readers import (
    frame_of,
    is_table,
    parse,
    read_bytes,
)
from routingsim.corpora.rows import Rows, shown
from routingsim.corpora.stream import is_tasks, load_folder, stream_corpus
from routingsim.corpora.validation import Draft
from routingsim.errors import CorpusError
from routingsim.files import bundled
from routingsim.synonyms import argument_hints

MMLU_FILES = 57
"""Number of MMLU's subjects, one file each."""


def data_folder() -> Path:
    """The folder of public corpora: ``ROUTINGSIM_DATA``, or the user's cache folder."""
    return Path(os.environ.get("ROUTINGSIM_DATA") or pooch.os_cache("routingsim"))


@argument_hints
def load_corpus(
    source: CorpusLike,
    *,
    format: str | None = None,
    on_error: str = "raise",
    agents: Collection[str] | None = None,
    dates: str | None = None,
    columns: str | Mapping[str, str] | None = None,
) -> Corpus:
    """A corpus or trace, by name, from a file or from a DataFrame.

    A log of calls is read as :func:`routingsim.read_log` does, and made a corpus.

    Parameters
    ----------
    source : str, path, DataFrame, Arrow table or Corpus
        "tasks" or "paretobandit", the corpora that come with routingsim, a name of
        :data:`routingsim.corpora.catalogue.DATASETS`, or the path of a file, gzipped or
        not, or of a folder whose files are one log, or the tasks of one corpus (read as
        :func:`routingsim.stream_corpus` does, and then held whole); a name takes precedence over
        a file of that name. A DataFrame, or a table of pyarrow, polars or HuggingFace datasets,
        has the columns that :meth:`Corpus.from_frame` describes. A corpus is returned as it is.
    format : str, optional
        The format of a file: one of :data:`routingsim.corpora.logs.wide.FORMATS`, or the
        tool that wrote a log, one of :func:`routingsim.corpora.logs.registry.shapes`.
        Default: by its content.
    on_error : {"raise", "skip"}
        Whether a bad record is an error, or is left out and listed in ``skipped``.
    agents : collection of str, optional
        The names under which outcomes may be recorded; another is a bad record.
        Default: any.
    dates : {None, "month first", "day first"}
        The order in dates such as 10/6/2023, which are an error without it.
    columns : mapping of str to str, or str, optional
        Which column of a log holds which field, as in :func:`routingsim.read_log`.

    Raises
    ------
    CorpusError
        If there is no such corpus, it cannot be fetched, or a record is bad.
    """
    if isinstance(source, Corpus):
        return source
    if format is not None and format not in FORMATS and format not in shapes():
        allowed = ", ".join((*FORMATS, *shapes()))
        raise CorpusError(f"format is {shown(format)}; allowed are {allowed}")
    if is_table(source):
        source = frame_of(source, "frame")
        names = set(source.columns)
        if columns or are_calls(names) or not {"id", "text"} <= names:
            return read_log(
                source, format or "auto", columns, on_error=on_error, dates=dates
            ).corpus()
        return Corpus.from_frame(source, on_error=on_error, agents=agents, dates=dates)
    if not isinstance(source, str | os.PathLike):
        raise CorpusError(
            f"corpus: expected a name, a path, a DataFrame or a Corpus, found {shown(source)} "
            f"({type(source).__name__})"
        )
    name = os.fspath(source)
    if name == "mmlu":
        return _load_mmlu(DATASETS[name], on_error, agents)
    dataset = DATASETS.get(name)
    if dataset:
        path, source, format = _fetched(dataset), dataset.url, format or dataset.format
    elif name in BUNDLED:
        file = BUNDLED[name][0]
        path, source = bundled("data") / file, f"data/{file}"
    else:
        path, source = Path(name), name
        if not path.exists():
            raise CorpusError(_not_found(name))
        name = stem(path)
    if dataset is None and not columns and format is None and is_tasks(path):
        return load_folder(stream_corpus(source, on_error=on_error, dates=dates, agents=agents))
    if dataset is None and _is_log(path, format, columns):
        log = read_log(path, format or "auto", columns, on_error=on_error, dates=dates)
        return _only(log.corpus(), agents)
    data = read_bytes(path)
    digest = hashlib.sha256(data).hexdigest()
    if dataset and digest != dataset.sha256:
        raise CorpusError(
            f"{path}: is not the published {name} (sha256 {digest}, expected {dataset.sha256}); "
            f"move it away to have it fetched from {dataset.url}, or load it by its path with "
            f"format={dataset.format!r}"
        )
    if format is not None and format not in FORMATS:
        log = read_log(path, format, on_error=on_error, name=name)
        return replace(log.corpus(), source=source)
    rows = parse(data, str(path), FORMATS[format].kinds[0] if format else None)
    return Corpus.from_drafts(
        [_draft(rows, name, format, dates)],
        name=name,
        source=source,
        sha256=digest,
        on_error=on_error,
        agents=agents,
    )


def _is_log(path: Path, format: str | None, columns: object) -> bool:
    """Whether a file is read as a log of calls, by its first records."""
    if columns or path.is_dir():
        return True
    if format is not None:
        return format not in FORMATS
    if path.is_char_device():
        return False  # it may have no end
    try:
        rows = sample(path)
    except CorpusError:
        return False  # reading it whole says what is wrong
    if format_of(rows) is not None:
        return False
    inside = list_inside(rows)
    return any(map(recognised, [rows, unwrapped(rows, inside, None)] if inside else [rows]))


def _draft(rows: Rows, name: str, format: str | None, dates: str | None) -> Draft:
    """A draft; of a file of no known format the error names the tool whose log is closest."""
    found = format or format_of(rows)
    try:
        return draft(rows, name, found, dates)
    except CorpusError as error:
        if found is None and (said := closest(rows)):
            raise CorpusError(f"{error}; {said}") from error
        raise


def _only(corpus: Corpus, agents: Collection[str] | None) -> Corpus:
    """The corpus, if its outcomes are those of these agents."""
    strange = [name for name in corpus.agents if agents is not None and name not in agents]
    if strange:
        allowed = ", ".join(agents or ())
        raise CorpusError(
            f"{corpus.source}: unknown agent {shown(strange[0])}; allowed are {allowed}"
        )
    return corpus


@argument_hints
def list_corpora() -> pd.DataFrame:
    """A row for each corpus with a name, with whether its file is on this machine.

    Returns
    -------
    DataFrame
        Columns name, records (NA where not known), what, licence, present, file.
    """
    rows: list[tuple[str, int | None, str, str, Path]] = []
    for name, (file, what, licence) in BUNDLED.items():
        path = bundled("data") / file
        lines = len(path.read_bytes().splitlines())
        rows.append((name, lines - file.endswith(".csv"), what, licence, path))
    rows += [
        (each.name, each.records, each.description, each.licence, data_folder() / each.file)
        for each in DATASETS.values()
    ]
    frame = pd.DataFrame(rows, columns=["name", "records", "what", "licence", "file"])
    frame["records"] = frame["records"].astype("Int64")
    frame.insert(4, "present", [path.exists() for path in frame["file"]])
    frame["file"] = [str(path) for path in frame["file"]]
    return frame


def _not_found(path: str) -> str:
    names = [*BUNDLED, *DATASETS]
    near = get_close_matches(path, names, n=1)
    hint = f"; did you mean {shown(near[0])}?" if near else ""
    return f"{path}: no such file, nor a corpus of that name; names are {', '.join(names)}{hint}"


def _fetched(dataset: Dataset) -> Path:
    """The file of a public corpus; one that is not there is fetched and its hash checked."""
    path = data_folder() / dataset.file
    # pooch would overwrite a file with another hash.
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
        each = draft(parse(data, str(path)), f"mmlu-{subject}", dataset.format)
        each.columns["category"] = RawColumn("category", [subject] * len(each.rows))
        drafts.append(each)
    notes = []
    if len(paths) != MMLU_FILES:
        notes.append(f"{len(paths)} of {MMLU_FILES} subjects are in {folder}")
    url = f"https://github.com/{dataset.repository}/tree/{dataset.commit}/{dataset.path}"
    return Corpus.from_drafts(
        drafts,
        name="mmlu",
        source=url,
        sha256=digest.hexdigest(),
        on_error=on_error,
        agents=agents,
        notes=notes,
    )
