"""RouterArena: a model's answers to the benchmark's questions, a file a model."""

from routingsim.corpora.logs.shape import Shape

SHAPES = (
    Shape(
        "routerarena",
        "RouterArena's results",
        {
            "task_id": "global_index|global index",
            "agent": "llm_selected|prediction|generated_result.model_used|@file",
            "prompt_tokens": "token_usage.input_tokens|generated_result.token_usage.input_tokens",
            "output_tokens": "token_usage.output_tokens|generated_result.token_usage.output_tokens",
            "quality": "evaluation_result.score|evaluation_result.accuracy|accuracy|score",
            "cost": "evaluation_result.inference_cost|evaluation_result.cost|inference_cost|cost",
            "status": "success|generated_result.success",
            "tags": "dataset|category",
            "text": "question|prompt",
        },
        always=(
            "global_index|global index",
            "llm_selected|prediction|generated_answer|evaluation_result",
        ),
        kind="answers",
        said={"text": "`question`, or a router's `prompt`"},
        form="JSON lines or JSON, a file a model; a folder joins them",
    ),
)
