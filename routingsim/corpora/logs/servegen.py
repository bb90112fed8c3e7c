"""ServeGen: workloads that it generates, saved as requests."""

from routingsim.corpora.logs.shape import Shape

SHAPES = (
    Shape(
        "servegen",
        "a workload of ServeGen",
        {
            "call_id": "request_id|id",
            "session_id": "client_id",
            "arrived_at": "timestamp|arrival_time",
            "prompt_tokens": "input_tokens|data.input_tokens|text_tokens|data.text_tokens",
            "output_tokens": "output_tokens|data.output_tokens",
        },
        always=(
            "timestamp|arrival_time",
            "input_tokens|data.input_tokens|text_tokens|data.text_tokens",
            "output_tokens|data.output_tokens",
        ),
        only=(
            "request_id",
            "id",
            "client_id",
            "timestamp",
            "arrival_time",
            "data",
            "input_tokens",
            "output_tokens",
            "text_tokens",
            "image_tokens",
            "audio_tokens",
            "video_tokens",
            "reason_ratio",
            "total_tokens",
        ),
        said={"arrived_at": "seconds from the start", "text": "there is none"},
        form="CSV or JSON",
    ),
)
