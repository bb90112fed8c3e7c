"""Corpora by name or path: the shipped one, the public ones, and the user's own.

Public corpora are fetched once from the commit named here, checked against their
sha256 and kept in :func:`data_folder`. A file already there is checked the same
way and never changed.
"""

import hashlib
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path

import pandas as pd
import pooch

from routingsim.corpus import Corpus
from routingsim.errors import CorpusError
from routingsim.formats import draft
from routingsim.tables import read_bytes, shown
from routingsim.validation import Column, Draft, check

__all__ = ["DATASETS", "Dataset", "corpora", "data_folder", "load_corpus"]

MMLU_FILES = 57
"""How many subjects MMLU has, one file each."""


@dataclass(frozen=True)
class Dataset:
    """A public corpus or trace.

    Attributes
    ----------
    name : str
        What :func:`load_corpus` calls it.
    file : str
        Its name in :func:`data_folder`; a folder where it ends in "/".
    repository, commit, path : str
        Where its authors publish it, on GitHub.
    sha256 : str
        Of the file; "" where it is not known.
    format : str
        One of :data:`routingsim.formats.FORMATS`.
    licence : str
        Its SPDX identifier.
    records : int or None
        How many; None where it is not known.
    description : str
        What it is, in a few words.
    """

    name: str
    file: str
    repository: str
    commit: str
    path: str
    sha256: str
    format: str
    licence: str
    records: int | None
    description: str

    @property
    def url(self) -> str:
        """The raw file at the commit."""
        return f"https://raw.githubusercontent.com/{self.repository}/{self.commit}/{self.path}"


_ROUTELLM = ("lm-sys/RouteLLM", "0b64fdafe049e596a3f5657c219329f24af24198")
_PARETO = ("ParetoBandit/ParetoBandit", "72ccbefe5cb858c95e00368e2b68de3c2b28a2ee")
_LLMROUTER = ("ulab-uiuc/LLMRouter", "4e7a796942ce26e9d5f2b93191c7c2585c99c2e3")
_AZURE = ("Azure/AzurePublicDataset", "b469a113cedca53ddc3bdea71a143dc4b7d8700c")
_MOONCAKE = ("kvcache-ai/Mooncake", "3b5a594133958449a1feaf1c9e0fc1b553e34a28")

DATASETS: Mapping[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            "gsm8k",
            "gsm8k_responses.csv",
            *_ROUTELLM,
            "routellm/evals/gsm8k/gsm8k_responses.csv",
            "1f38ed03db354a020f71e92022383dc3cf37bbf2694dea4daaeea7b6c43fe57b",
            "routellm",
            "Apache-2.0",
            1319,
            "grade-school maths; whether Mixtral-8x7B and GPT-4 answered right",
        ),
        Dataset(
            "mmlu",
            "mmlu/",
            *_ROUTELLM,
            "routellm/evals/mmlu/responses",
            "",
            "routellm",
            "Apache-2.0",
            None,
            "multiple choice in 57 subjects; whether Mixtral-8x7B and GPT-4 answered right",
        ),
        Dataset(
            "paretobandit-val",
            "paretobandit_val_k4.jsonl",
            *_PARETO,
            "data_collection/rewards/val_k4.jsonl",
            "a4ef953acae52873934882d97400c0b410afac0fb874bc39a1f2b3716ea5015d",
            "paretobandit",
            "Apache-2.0",
            1766,
            "prompts from many public sets; reward and cost of four models",
        ),
        Dataset(
            "paretobandit-test",
            "paretobandit_test_k4.jsonl",
            *_PARETO,
            "data_collection/rewards/test_k4.jsonl",
            "96ce988cad380276898457e351585bbef62e686b45fc32bbdeaf1bae764748b1",
            "paretobandit",
            "Apache-2.0",
            1793,
            "the held-out part of paretobandit-val",
        ),
        Dataset(
            "dcrouter-train",
            "dcrouter_train.json",
            *_LLMROUTER,
            "data/dcrouter_preprocessed/train.json",
            "ad3ae70149998f02cbf0dd4557ccb6afcf365ac9391b7371329ffc22201e90e3",
            "dcrouter",
            "MIT",
            5608,
            "questions from 14 public tasks; score of nine open models",
        ),
        Dataset(
            "dcrouter-test",
            "dcrouter_test.json",
            *_LLMROUTER,
            "data/dcrouter_preprocessed/test.json",
            "fbb6d3e3f62c7018e5446d3154cc05812d3124381f774738e9f0bac5bff79c79",
            "dcrouter",
            "MIT",
            500,
            "the held-out part of dcrouter-train",
        ),
        Dataset(
            "azure-code-2023",
            "AzureLLMInferenceTrace_code.csv",
            *_AZURE,
            "data/AzureLLMInferenceTrace_code.csv",
            "54e9a6d2a4bd06ba1e060304b900abbc74cbea53de96506e60fe5bb4f2277fb6",
            "azure",
            "CC-BY-4.0",
            8819,
            "trace: an hour of a coding assistant's requests, very bursty",
        ),
        Dataset(
            "azure-conv-2023",
            "AzureLLMInferenceTrace_conv.csv",
            *_AZURE,
            "data/AzureLLMInferenceTrace_conv.csv",
            "2f1e5b666d4e3055fdbba98598ce2ec307767b9064e03e2fa46676dbcc7d0bf8",
            "azure",
            "CC-BY-4.0",
            19366,
            "trace: chat requests of the same service",
        ),
        Dataset(
            "mooncake-conversation",
            "mooncake_conversation_trace.jsonl",
            *_MOONCAKE,
            "FAST25-release/traces/conversation_trace.jsonl",
            "b8cbb061a85206d729d91cdc2981f43c9e0d99209dce588d3af5f7934408b9df",
            "mooncake",
            "Apache-2.0",
            12031,
            "trace: chat requests, timestamps in steps of about 3 s",
        ),
        Dataset(
            "mooncake-synthetic",
            "mooncake_synthetic_trace.jsonl",
            *_MOONCAKE,
            "FAST25-release/traces/synthetic_trace.jsonl",
            "bd070915a98fc0ed264d7cfef2ce746002eb3076a695ec31ba2674c0111ec131",
            "mooncake",
            "Apache-2.0",
            3993,
            "trace: synthetic requests of the same service",
        ),
    )
}
"""The public corpora by name."""


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
        "tasks" for the shipped corpus, a name of :data:`DATASETS`, or the path of a
        file, gzipped or not. A name goes before a file of the same name.
    format : str, optional
        One of :data:`routingsim.formats.FORMATS`. Default: by the file's content.
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
    source = name
    if name == "tasks":
        path = _shipped()
        source = "data/tasks.jsonl"
    elif dataset := DATASETS.get(name):
        path = _fetched(dataset)
        format, source = format or dataset.format, dataset.url
    else:
        path = Path(name)
        name = path.name.removesuffix(".gz")
        name = name.rpartition(".")[0] or name
        if not path.exists():
            raise CorpusError(_not_found(str(path)))
    data = read_bytes(path)
    digest = hashlib.sha256(data).hexdigest()
    return _corpus([draft(data, str(path), name, format)], name, source, digest, on_error, agents)


def corpora() -> pd.DataFrame:
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
    return packed if packed.exists() else Path(__file__).parents[1] / "data" / "tasks.jsonl"


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
    """The file of a public corpus, from the folder or the network, its hash checked."""
    path = data_folder() / dataset.file
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
    found = hashlib.sha256(read_bytes(path)).hexdigest()
    if found != dataset.sha256:
        raise CorpusError(
            f"{path}: is not the published {dataset.name} (sha256 {found}, expected "
            f"{dataset.sha256}); move it away to have it fetched from {dataset.url}, or load it "
            f"by its path with format={dataset.format!r}"
        )
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
