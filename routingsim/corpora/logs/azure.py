"""Azure's LLM inference traces of 2023 and 2024."""

from routingsim.corpora.logs.shape import Shape

SHAPES = (
    Shape(
        "azure",
        "Azure's LLM inference trace",
        {
            "arrived_at": "TIMESTAMP",
            "prompt_tokens": "ContextTokens",
            "output_tokens": "GeneratedTokens",
        },
        always=("TIMESTAMP", "ContextTokens", "GeneratedTokens"),
        said={"text": "there is none", "agent": "there is none"},
        form="CSV",
    ),
)
