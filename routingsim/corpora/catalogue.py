"""The public corpora and traces: where each is published, pinned by commit and hash."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["DATASETS", "Dataset"]


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
        One of :data:`routingsim.corpora.formats.FORMATS`.
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


_ROUTELLM = {"repository": "lm-sys/RouteLLM", "commit": "0b64fdafe049e596a3f5657c219329f24af24198"}
_PARETO = {
    "repository": "ParetoBandit/ParetoBandit",
    "commit": "72ccbefe5cb858c95e00368e2b68de3c2b28a2ee",
}
_LLMROUTER = {
    "repository": "ulab-uiuc/LLMRouter",
    "commit": "4e7a796942ce26e9d5f2b93191c7c2585c99c2e3",
}
_AZURE = {
    "repository": "Azure/AzurePublicDataset",
    "commit": "b469a113cedca53ddc3bdea71a143dc4b7d8700c",
}
_MOONCAKE = {
    "repository": "kvcache-ai/Mooncake",
    "commit": "3b5a594133958449a1feaf1c9e0fc1b553e34a28",
}

DATASETS: Mapping[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            name="gsm8k",
            file="gsm8k_responses.csv",
            **_ROUTELLM,
            path="routellm/evals/gsm8k/gsm8k_responses.csv",
            sha256="1f38ed03db354a020f71e92022383dc3cf37bbf2694dea4daaeea7b6c43fe57b",
            format="routellm",
            licence="Apache-2.0",
            records=1319,
            description="grade-school maths; whether Mixtral-8x7B and GPT-4 answered right",
        ),
        Dataset(
            name="mmlu",
            file="mmlu/",
            **_ROUTELLM,
            path="routellm/evals/mmlu/responses",
            sha256="",
            format="routellm",
            licence="Apache-2.0",
            records=None,
            description="57 subjects, multiple choice; whether Mixtral-8x7B and GPT-4 were right",
        ),
        Dataset(
            name="paretobandit-val",
            file="paretobandit_val_k4.jsonl",
            **_PARETO,
            path="data_collection/rewards/val_k4.jsonl",
            sha256="a4ef953acae52873934882d97400c0b410afac0fb874bc39a1f2b3716ea5015d",
            format="paretobandit",
            licence="Apache-2.0",
            records=1766,
            description="prompts from many public sets; reward and cost of four models",
        ),
        Dataset(
            name="paretobandit-test",
            file="paretobandit_test_k4.jsonl",
            **_PARETO,
            path="data_collection/rewards/test_k4.jsonl",
            sha256="96ce988cad380276898457e351585bbef62e686b45fc32bbdeaf1bae764748b1",
            format="paretobandit",
            licence="Apache-2.0",
            records=1793,
            description="the held-out part of paretobandit-val",
        ),
        Dataset(
            name="dcrouter-train",
            file="dcrouter_train.json",
            **_LLMROUTER,
            path="data/dcrouter_preprocessed/train.json",
            sha256="ad3ae70149998f02cbf0dd4557ccb6afcf365ac9391b7371329ffc22201e90e3",
            format="dcrouter",
            licence="MIT",
            records=5608,
            description="questions from 14 public tasks; score of nine open models",
        ),
        Dataset(
            name="dcrouter-test",
            file="dcrouter_test.json",
            **_LLMROUTER,
            path="data/dcrouter_preprocessed/test.json",
            sha256="fbb6d3e3f62c7018e5446d3154cc05812d3124381f774738e9f0bac5bff79c79",
            format="dcrouter",
            licence="MIT",
            records=500,
            description="the held-out part of dcrouter-train",
        ),
        Dataset(
            name="azure-code-2023",
            file="AzureLLMInferenceTrace_code.csv",
            **_AZURE,
            path="data/AzureLLMInferenceTrace_code.csv",
            sha256="54e9a6d2a4bd06ba1e060304b900abbc74cbea53de96506e60fe5bb4f2277fb6",
            format="azure",
            licence="CC-BY-4.0",
            records=8819,
            description="trace: an hour of a coding assistant's requests, very bursty",
        ),
        Dataset(
            name="azure-conv-2023",
            file="AzureLLMInferenceTrace_conv.csv",
            **_AZURE,
            path="data/AzureLLMInferenceTrace_conv.csv",
            sha256="2f1e5b666d4e3055fdbba98598ce2ec307767b9064e03e2fa46676dbcc7d0bf8",
            format="azure",
            licence="CC-BY-4.0",
            records=19366,
            description="trace: chat requests of the same service",
        ),
        Dataset(
            name="mooncake-conversation",
            file="mooncake_conversation_trace.jsonl",
            **_MOONCAKE,
            path="FAST25-release/traces/conversation_trace.jsonl",
            sha256="b8cbb061a85206d729d91cdc2981f43c9e0d99209dce588d3af5f7934408b9df",
            format="mooncake",
            licence="Apache-2.0",
            records=12031,
            description="trace: chat requests, timestamps in steps of about 3 s",
        ),
        Dataset(
            name="mooncake-synthetic",
            file="mooncake_synthetic_trace.jsonl",
            **_MOONCAKE,
            path="FAST25-release/traces/synthetic_trace.jsonl",
            sha256="bd070915a98fc0ed264d7cfef2ce746002eb3076a695ec31ba2674c0111ec131",
            format="mooncake",
            licence="Apache-2.0",
            records=3993,
            description="trace: synthetic requests of the same service",
        ),
    )
}
"""The public corpora by name."""
