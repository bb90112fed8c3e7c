"""The public corpora and traces of ``data/datasets.toml``: where each is published."""

from collections.abc import Mapping

import msgspec

from routingsim.files import bundled


class Dataset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A public corpus or trace.

    Attributes
    ----------
    name : str
        Its name for :func:`routingsim.load_corpus`.
    file : str
        Its name in :func:`routingsim.corpora.datasets.data_folder`; a folder where it
        ends in "/".
    repository, commit, path : str
        Where its authors publish it, on GitHub.
    format : str
        One of :data:`routingsim.corpora.logs.wide.FORMATS`,
        or a tool that writes logs.
    licence : str
        Its SPDX identifier.
    description : str
        What it is, in a few words.
    sha256 : str
        Of the file; "" where it is not known.
    records : int or None
        How many; None where it is not known.
    """

    name: str
    file: str
    repository: str
    commit: str
    path: str
    format: str
    licence: str
    description: str
    sha256: str = ""
    records: int | None = None

    @property
    def url(self) -> str:
        """The raw file at the commit."""
        return f"https://raw.githubusercontent.com/{self.repository}/{self.commit}/{self.path}"


class _Catalogue(msgspec.Struct):
    datasets: list[Dataset]


def _read() -> dict[str, Dataset]:
    text = (bundled("data") / "datasets.toml").read_bytes()
    return {each.name: each for each in msgspec.toml.decode(text, type=_Catalogue).datasets}


DATASETS: Mapping[str, Dataset] = _read()
"""The public corpora by name."""


BUNDLED = {
    "tasks": ("tasks.jsonl", "comes with routingsim: texts of many kinds, no outcomes", "MIT"),
    "paretobandit": (
        "paretobandit.csv",
        "comes with routingsim: quality and cost of four models in paretobandit-val, no texts",
        "Apache-2.0",
    ),
}
"""The corpora that come with routingsim, by name: file, what it is, licence."""
