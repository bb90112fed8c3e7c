"""Reading a log: calls a minute and peak memory, for the shapes of several tools.

Writes a log of a million calls in each shape to a temporary folder (some 4 GB in all; the first
argument is another number of calls), reads each in a process of its own, and prints seconds by
the clock and of one core, calls per minute of each, and the peak of that process's memory; then the
same for ``log.corpus()``, which reads the texts. Where others use the machine, the core's time is
the one to look at. Run as ``python benchmarks/logs.py [CALLS]``.
"""

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

CALLS = 1_000_000
GOAL = 1_000_000  # calls a minute
MODELS = ("gpt-4o", "gpt-4o-mini", "claude-sonnet")
START = datetime(2025, 4, 21, 9, tzinfo=UTC)
PROMPT = "Summarise this support ticket: the customer cannot log in after resetting it. " * 6
ANSWER = "Thank you for your message; the password has to have twelve characters. " * 10

READ = """
import resource, sys, time
from routingsim.corpora.logs.read import read_log
began, busy = time.perf_counter(), time.process_time()
log = read_log(sys.argv[1])
read, busy = time.perf_counter() - began, time.process_time() - busy
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
began = time.perf_counter()
log.corpus()
corpus = time.perf_counter() - began
whole = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(len(log), read, busy, peak, corpus, whole)
"""

Call = tuple[int, str, datetime, datetime, str, int, int, float]


def calls(count: int) -> Iterator[Call]:
    """Number, session, start, end, model, two token counts and cost of each call."""
    draw = random.Random(7)
    start = START
    for number in range(count):
        start += timedelta(seconds=draw.expovariate(3.0))
        prompt, output = draw.randint(20, 2_000), draw.randint(5, 900)
        end = start + timedelta(seconds=0.4 + output / 80 * draw.uniform(0.7, 1.4))
        model = MODELS[number % 3]
        yield number, f"s{number // 4}", start, end, model, prompt, output, prompt * 2.5e-6


def iso(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def litellm(call: Call) -> str:
    number, session, start, end, model, prompt, output, cost = call
    return json.dumps(
        {
            "request_id": f"chatcmpl-{number:09d}", "call_type": "acompletion", "spend": cost,
            "prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output,
            "startTime": iso(start), "endTime": iso(end), "model": model, "session_id": session,
            "metadata": {"status": "success"}, "cache_hit": "False", "request_tags": [],
            "messages": [{"role": "system", "content": "You help."},
                         {"role": "user", "content": f"{number} {PROMPT}"}],
            "response": {"choices": [{"message": {"content": ANSWER}}]}, "status": "success",
        }
    )  # fmt: skip


def otel(call: Call) -> str:
    number, _, start, end, model, prompt, output, _ = call
    values = {
        "gen_ai.operation.name": {"stringValue": "chat"},
        "gen_ai.request.model": {"stringValue": model},
        "gen_ai.usage.input_tokens": {"intValue": str(prompt)},
        "gen_ai.usage.output_tokens": {"intValue": str(output)},
        "gen_ai.input.messages": {"stringValue": json.dumps([{"role": "user", "content": PROMPT}])},
    }
    span = {
        "traceId": f"{number // 3:032x}", "spanId": f"{number:016x}", "name": "chat", "kind": 3,
        "startTimeUnixNano": str(int(start.timestamp() * 1e9)),
        "endTimeUnixNano": str(int(end.timestamp() * 1e9)),
        "attributes": [{"key": key, "value": value} for key, value in values.items()],
        "status": {"code": 1},
    }  # fmt: skip
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]})


def openrouter(call: Call) -> str:
    number, _, start, end, model, prompt, output, cost = call
    took = (end - start).total_seconds() * 1000
    return (
        f"gen-{number},{start:%Y-%m-%d %H:%M:%S.%f},{cost:.7f},{prompt},{output},0,openai/{model},"
        f"false,stop,{took:.0f},350"
    )


OPENROUTER = (
    "generation_id,created_at,cost_total,tokens_prompt,tokens_completion,tokens_cached,"
    "model_permaslug,cancelled,finish_reason_normalized,generation_time_ms,time_to_first_token_ms"
)


def write_lines(path: Path, count: int, line: Callable[[Call], str], header: str = "") -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(header + "\n" if header else "")
        file.writelines(line(call) + "\n" for call in calls(count))


def write_array(path: Path, count: int, line: Callable[[Call], str]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write("[")
        for call in calls(count):
            file.write(("," if call[0] else "") + line(call) + "\n")
        file.write("]")


SHAPES: dict[str, Callable[[Path, int], None]] = {
    "litellm.jsonl": lambda path, count: write_lines(path, count, litellm),
    "litellm.json": lambda path, count: write_array(path, count, litellm),
    "otel.jsonl": lambda path, count: write_lines(path, count, otel),
    "openrouter.csv": lambda path, count: write_lines(path, count, openrouter, OPENROUTER),
}


def main() -> None:
    count = int(sys.argv[1]) if sys.argv[1:] else CALLS
    print(f"{count:,} calls")
    heads = ("", "MB", "s", "calls/min", "core s", "calls/min", "peak MB", "corpus s", "peak MB")
    print("".join(f"{head:>{11 if k else 16}}" for k, head in enumerate(heads)))
    slowest = float("inf")
    with tempfile.TemporaryDirectory() as folder:
        for name, write in SHAPES.items():
            path = Path(folder) / name
            write(path, count)
            size = path.stat().st_size / 2**20
            command = [sys.executable, "-c", READ, str(path)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found, read, busy, peak, corpus, whole = map(float, done.stdout.split())
            if found != count:
                raise SystemExit(f"{name}: {found:,.0f} calls were read")
            slowest = min(slowest, 60 * count / read)
            figures = (size, read, 60 * count / read, busy, 60 * count / busy, peak, corpus, whole)
            print(f"{name:>16}" + "".join(f"{each:>11,.0f}" for each in figures), flush=True)
            path.unlink()
    met = "met" if slowest >= GOAL else "NOT met"
    print(f"goal of {GOAL:,} calls a minute by the clock: {met} ({slowest:,.0f} at the slowest)")


if __name__ == "__main__":
    main()
