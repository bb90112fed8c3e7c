"""Scoring a column of texts: the plain definition against the compiled kernel.

Makes 200,000 texts of 275 characters' mean length from the words of ``data/tasks.jsonl``:
once of its ASCII words, with a foreign one in every twentieth text, and once of all its
words, which are of many languages. Checks that both ways agree, and prints medians of
texts per second on one core, their ratio, and what the first call costs with and without
the kernel in numba's cache. Run as ``python benchmarks/scoring.py``.
"""

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from routingsim.scoring.dvar import score, score_column

TEXTS = 200_000
MEAN_LENGTH = 275
PLAIN_TEXTS = 20_000  # the plain definition is measured on the first so many
REPEATS = 15
GOAL = 1_000_000

CORPUS = Path(__file__).parents[1] / "data" / "tasks.jsonl"
FOREIGN = "naïve café Straße “quoted” € → 你好世界 Привет мир مرحبا"

FIRST_CALL = (
    "import time; t = time.perf_counter(); from routingsim.scoring.dvar import score_column; "
    "score_column(['a text']); print(time.perf_counter() - t)"
)


def make_texts(*, all_languages: bool, seed: int = 1) -> list[str]:
    """Texts cut from a stream of words, their lengths uniform around the mean."""
    draw = random.Random(seed)
    with CORPUS.open(encoding="utf-8") as lines:
        tasks = [json.loads(line) for line in lines if line.strip()]
    words = " ".join(task["text"] for task in tasks).split(" ")
    if not all_languages:
        words = [word for word in words if word.isascii()]
    words += words[:150]
    foreign = FOREIGN.split()
    texts = []
    for number in range(TEXTS):
        start = draw.randrange(len(words) - 150)
        chosen = words[start : start + 150]
        if number % 20 == 0:
            chosen[0] = draw.choice(foreign)
        texts.append(" ".join(chosen)[: draw.randint(1, 2 * MEAN_LENGTH - 1)])
    return texts


def rate(call: Callable[[], object], texts: int, repeats: int) -> float:
    """Median texts per second of ``call``, in time of this thread on the processor.

    Thread time, not wall time, so that other processes on the machine do not count.
    """
    seconds = []
    for _ in range(repeats):
        started = time.thread_time()
        call()
        seconds.append(time.thread_time() - started)
    return texts / statistics.median(seconds)


def first_call(cache: str) -> float:
    """Seconds from the import to the first score of a column, in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", FIRST_CALL],
        env={**os.environ, "NUMBA_CACHE_DIR": cache},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def main() -> None:
    """Measure and print."""
    for all_languages in (False, True):
        measure(make_texts(all_languages=all_languages))
    with tempfile.TemporaryDirectory() as cache:
        cold = first_call(cache)
        cached = statistics.median(first_call(cache) for _ in range(3))
    print(f"first call      {cold:.2f} s compiling, {cached:.2f} s from the cache")


def measure(texts: list[str]) -> None:
    """Check that the two ways agree, and print how fast each is."""
    column = pd.Series(texts, dtype="str")
    mean = sum(map(len, texts)) / len(texts)
    foreign = sum(not text.isascii() for text in texts) / len(texts)
    print(f"{TEXTS:,} texts, mean length {mean:.0f}, {foreign:.1%} not ASCII")

    plain = [score(text).d_var for text in texts[:PLAIN_TEXTS]]
    if score_column(column)["d_var"].tolist()[:PLAIN_TEXTS] != plain:
        raise SystemExit("the kernel and the plain definition differ")

    slow = rate(lambda: [score(text) for text in texts[:PLAIN_TEXTS]], PLAIN_TEXTS, 5)
    fast = rate(lambda: score_column(column), TEXTS, REPEATS)
    print(f"score           {slow:12,.0f} texts/s   ({1e6 / slow:.1f} us a text)")
    print(f"score_column    {fast:12,.0f} texts/s   ({fast / slow:.1f} x, goal {GOAL:,})")


if __name__ == "__main__":
    main()
