"""The shipped corpus is what ``data/README.md`` says: varied, bursty, and free of outcomes.

The file is read with plain :mod:`json`, so that these tests judge the data and
not the corpus reader.
"""

import itertools
import json
import re
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

TASKS = Path(__file__).parents[2] / "data" / "tasks.jsonl"

HOUR = 3600.0
FIELDS = {"id", "text", "arrived_at", "category"}
MAX_SIMILARITY = 0.35
"""Jaccard similarity of character 5-grams from which two texts count as near-duplicates."""
MAX_SAME_OPENING = 1
"""How many tasks may begin with the same five words."""
SCRIPTS = {"CJK": 25, "HIRAGANA": 12, "CYRILLIC": 15, "ARABIC": 8, "DEVANAGARI": 6}
"""Tasks to expect, at least, that contain a script (the first word of the Unicode names)."""
STOP_WORDS = {
    "English": (200, {"the", "is", "and", "what", "how", "my", "you", "a", "to"}),
    "German": (20, {"bitte", "und", "nicht", "ich", "eine", "wie", "der", "das"}),
    "Spanish": (15, {"una", "por", "qué", "el", "mi", "con", "cómo", "los"}),
    "French": (15, {"est", "une", "les", "des", "pour", "le", "je", "du"}),
    "Portuguese": (10, {"não", "uma", "para", "meu", "preciso", "como", "dos", "me"}),
    "Italian": (3, {"che", "della", "di", "il", "una", "ciao", "gli", "dal"}),
    "Turkish": (5, {"bir", "ve", "bu", "için", "mi", "ne", "kaç", "eder"}),
}
"""Tasks to expect, at least, with two or more of a language's frequent words.

Far fewer than are written in it: most short texts hold none or one of them.
"""


@pytest.fixture(scope="module")
def tasks() -> list[dict[str, Any]]:
    return [json.loads(line) for line in TASKS.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def texts(tasks: list[dict[str, Any]]) -> list[str]:
    return [task["text"] for task in tasks]


@pytest.fixture(scope="module")
def arrivals(tasks: list[dict[str, Any]]) -> np.ndarray:
    return np.array([task["arrived_at"] for task in tasks])


def shingles(text: str) -> frozenset[str]:
    """Character 5-grams, blind to case and to the amount of white space."""
    flat = " ".join(text.casefold().split())
    return frozenset(flat[i : i + 5] for i in range(max(1, len(flat) - 4)))


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def test_records_have_the_four_fields_and_no_outcomes(tasks: list[dict[str, Any]]) -> None:
    assert len(tasks) >= 420
    assert all(task.keys() == FIELDS for task in tasks)
    assert [task["id"] for task in tasks] == [f"t{i:04d}" for i in range(1, len(tasks) + 1)]


def test_lines_are_clean_json(texts: list[str]) -> None:
    raw = TASKS.read_bytes()
    assert not raw.startswith(b"\xef\xbb\xbf")
    assert raw.endswith(b"}\n")
    decoded = raw.decode("utf-8")
    assert [c for c in decoded if unicodedata.category(c) == "Cc" and c != "\n"] == []
    assert re.findall(r"(?i)\\u[0-9a-f]{4}", decoded) == [], "write characters, not escapes"
    for text in texts:
        assert text == text.strip()
        assert [
            c for c in text if unicodedata.category(c) in {"Cc", "Cs"} and c not in "\n\t"
        ] == []


def test_categories_are_many_full_and_interleaved(tasks: list[dict[str, Any]]) -> None:
    categories = [task["category"] for task in tasks]
    counts = Counter(categories)
    assert len(counts) >= 14
    assert min(counts.values()) >= 20
    assert max(len(list(run)) for _, run in itertools.groupby(categories)) <= 3


def test_lengths_run_from_three_words_to_thousands_of_characters(texts: list[str]) -> None:
    lengths = np.array([len(text) for text in texts])
    assert min(len(text.split()) for text in texts) <= 3
    assert np.mean(lengths < 80) == pytest.approx(0.35, abs=0.05)
    assert np.mean((lengths >= 80) & (lengths <= 400)) == pytest.approx(0.42, abs=0.05)
    assert np.mean(lengths > 400) == pytest.approx(0.23, abs=0.05)
    assert np.sum(lengths > 1000) >= 25
    assert np.sum(lengths > 3000) >= 8


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts(script: str, texts: list[str]) -> None:
    def holds(text: str) -> bool:
        return any(unicodedata.name(c, "").split(" ")[0] == script for c in text)

    assert sum(holds(text) for text in texts) >= SCRIPTS[script]


@pytest.mark.parametrize("language", STOP_WORDS)
def test_languages(language: str, texts: list[str]) -> None:
    least, frequent = STOP_WORDS[language]
    assert sum(len(frequent.intersection(words(text))) >= 2 for text in texts) >= least


@pytest.mark.slow
def test_no_near_duplicates(texts: list[str]) -> None:
    sets = sorted(((shingles(text), text) for text in texts), key=lambda pair: len(pair[0]))
    alike: list[tuple[float, str, str]] = []
    for i, (small, text) in enumerate(sets):
        for large, other in sets[i + 1 :]:
            # |a & b| / |a | b| <= |a| / |b|: from here on every set is too large to be alike.
            if len(small) < MAX_SIMILARITY * len(large):
                break
            shared = len(small & large)
            similarity = shared / (len(small) + len(large) - shared)
            if similarity >= MAX_SIMILARITY:
                alike.append((similarity, text[:80], other[:80]))
    assert alike == []


def test_near_duplicates_would_be_found() -> None:
    one = shingles("Write a function that reverses a string in Python")
    two = shingles("Write a function that  sorts a string in PYTHON")
    assert len(one & two) / len(one | two) >= MAX_SIMILARITY


def test_openings_differ(texts: list[str]) -> None:
    openings = Counter(" ".join(w[:5]) for text in texts if len(w := words(text)) >= 5)
    assert [o for o, n in openings.items() if n > MAX_SAME_OPENING] == []


def test_no_contact_details_of_real_people(texts: list[str]) -> None:
    joined = "\n".join(texts)
    assert set(re.findall(r"[\w.+-]+@([\w-]+\.[\w.]+)", joined)) <= {"example.com"}
    phones = re.findall(r"\b555-(\d{4})\b", joined)
    assert phones
    assert all(phone.startswith("01") for phone in phones)


def test_arrivals_fill_one_hour_in_order(arrivals: np.ndarray) -> None:
    assert np.all(np.diff(arrivals) > 0)
    assert arrivals[0] >= 0
    assert arrivals[-1] < HOUR
    assert arrivals[-1] - arrivals[0] > 0.9 * HOUR


def test_arrivals_have_quiet_and_busy_spells(arrivals: np.ndarray) -> None:
    per_minute, _ = np.histogram(arrivals, bins=60, range=(0, HOUR))
    dispersion = per_minute.var(ddof=1) / per_minute.mean()
    # A Poisson stream has 1; 60 minutes of one stay below 1.6 in 99.5 % of draws.
    assert dispersion > 3
    assert per_minute[34:39].sum() <= 10, "the near-silent spell"
    for busy in (slice(8, 13), slice(25, 31), slice(46, 51)):
        assert per_minute[busy].mean() > 2 * np.median(per_minute)
