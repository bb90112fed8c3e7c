"""The catalogue of public corpora."""

from pathlib import Path

from routingsim.corpora.catalogue import DATASETS

NAMES = [
    "gsm8k",
    "mmlu",
    "paretobandit-val",
    "paretobandit-test",
    "dcrouter-train",
    "dcrouter-test",
    "azure-code-2023",
    "azure-conv-2023",
    "mooncake-conversation",
    "mooncake-synthetic",
]


def test_the_catalogue_is_complete() -> None:
    assert list(DATASETS) == NAMES
    for dataset in DATASETS.values():
        assert len(dataset.commit) == 40
        assert len(dataset.sha256) == (0 if dataset.name == "mmlu" else 64)
        assert dataset.licence in ("Apache-2.0", "MIT", "CC-BY-4.0")
        assert dataset.url == (
            f"https://raw.githubusercontent.com/{dataset.repository}/{dataset.commit}/{dataset.path}"
        )


def test_the_catalogue_says_what_the_files_readme_says(shared_data: Path) -> None:
    readme = (shared_data / "README.md").read_text(encoding="utf-8")
    for dataset in DATASETS.values():
        assert dataset.repository in readme
        assert dataset.commit in readme
        if dataset.sha256:
            (row,) = (line for line in readme.splitlines() if line.startswith(f"| {dataset.file}"))
            assert dataset.sha256 in row
            assert f"{dataset.records:,}" in row
            assert dataset.path in row
