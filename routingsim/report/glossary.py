"""The words of a report that a reader may not know: each explained where it is used first."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from routingsim.report.document import (
    Answer,
    Card,
    Facts,
    Gallery,
    Points,
    Section,
    Summary,
    Table,
    Terms,
)

GLOSSARY: Mapping[str, tuple[str, str]] = {
    "p50": ("p50", "half of the answers take at most so long"),
    "p95": ("p95", "95 % of the answers take at most so long"),
    "p99": ("p99", "99 % of the answers take at most so long"),
    "quality": (
        "quality|qualities",
        "how good answers are, as graded in the record, from 0 (useless) to 1 (right)",
    ),
    "point": ("points?", "a hundredth of the scale of quality from 0 to 1"),
    "latency": (
        "latency|latencies",
        "the time from a task’s arrival to the end of its answer, its wait included",
    ),
    "load": (
        "loads?",
        "how much work arrives, as a share of the most that the agents can do",
    ),
    "95 % interval": (
        "95 % intervals?|95 % CI|intervals?|half-widths?",
        "where the true figure lies in 95 of 100 such experiments",
    ),
    "keep up": (
        "keeps? up|kept up",
        "do as much work as arrives, so that queues do not grow without end",
    ),
    "steady": ("steady", "queues do not grow, and a longer run would have about the same waits"),
    "too short to say": ("too short to say", "a longer run may have other waits"),
    "overloaded": (
        "overloaded",
        "an agent was sent more work than it can do, for a part of the time or all of it",
    ),
    "growing": ("growing", "a queue grew until the end of the run, and would grow further"),
    "trade-off": ("trade-offs?", "better in one figure and worse in another: a matter of taste"),
    "in doubt": ("in doubt", "the difference may be chance"),
    "run": (
        "runs?|replications?",
        "one simulation of the whole traffic; further runs draw other chances",
    ),
    "backtest": (
        "backtest",
        "the simulation of traffic that was really served, compared with what was measured",
    ),
    "policy": ("policy|policies", "the rule that sends each task to an agent"),
    "agent": ("agents?", "a model or service that answers tasks, with a number of slots"),
    "slot": ("slots?", "room for one task at a time at an agent"),
    "wait": ("waits?", "the time a task stands in a queue before an agent takes it"),
    "offered load": (
        "offered load",
        "the work sent to an agent over what its slots can do; from 100 % on a queue grows",
    ),
    "utilisation": ("utilisation", "the share of an agent’s slots in use, on average"),
    "control": (
        "controls?",
        "a simple rule, or chance, that a policy should beat; not meant to be used",
    ),
    "oracle": ("oracle", "the control that knows each answer’s quality beforehand"),
    "zero-router": ("zero-router", "the control that mixes agents by chance at a policy’s cost"),
    "shuffle": ("shuffles?", "the same choices of agents, assigned to the tasks at random"),
    "hull": ("hull", "what mixing two of the policies by chance reaches"),
    "frontier": ("frontier", "the policies that no other beats in all figures"),
    "right answers in time": (
        "right answers|goodput|right in time",
        "answers that are good enough and within the latency objective",
    ),
    "Holm": (
        "Holm",
        "a correction that keeps many comparisons from finding a difference by chance",
    ),
    "regret": ("regret", "quality lost against the best agent of each task"),
    "D_var": ("D_var", "a score of how complex a text is, from its words, from 0 to 1"),
    "in-sample": (
        "in-sample",
        "fitted or chosen on the very tasks it is scored on, so its figures are too favourable",
    ),
    "estimated": (
        "estimated|estimates?",
        "told from a log in which one agent answered each task, not measured",
    ),
    "seed": ("seeds?", "the number that fixes all chance: the same seed, the same result"),
    "cv": ("cv", "how irregular gaps between arrivals are: 1 as by chance, more in bursts"),
    "warm-up": ("warm-up", "the beginning of a run, left out of times, as queues start empty"),
}
"""By term: the words that mean it, as a pattern, and what it means."""

_FOUND = {
    term: re.compile(rf"(?<![\w-])(?:{words})(?![\w-])", re.IGNORECASE)
    for term, (words, _) in GLOSSARY.items()
}


class Explained:
    """The terms explained so far; each is explained once."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}

    def answer(self, answer: Answer) -> Answer:
        """An answer with the terms that are new in it."""
        said = [answer.asked, answer.answer, *(line for _, lines in answer.parts for line in lines)]
        return replace(answer, terms=self._new(said))

    def summary(self, summary: Summary, cards: Iterable[Card]) -> Summary:
        """A summary with the terms that are new in it and in the cards beside it."""
        said = [summary.verdict, *summary.findings, *summary.caveats]
        said += [word for card in cards for word in (card.said, *(n for n, _ in card.figures))]
        return replace(summary, terms=self._new(said))

    def section(self, section: Section) -> Section:
        """A section with the terms that are new in it."""
        return replace(section, terms=self._new(_words(section)))

    def glossary(self) -> Section:
        """All terms so far, as a section."""
        items = tuple(sorted(self.known.items(), key=lambda item: item[0].lower()))
        return Section("glossary", "Glossary", blocks=(Facts(items),))

    def _new(self, said: Iterable[str]) -> Terms:
        text = "\n".join(said)
        new = {
            term: GLOSSARY[term][1]
            for term, pattern in _FOUND.items()
            if term not in self.known and pattern.search(text)
        }
        self.known |= new
        return tuple(new.items())


def _words(section: Section) -> Iterator[str]:
    """The words of a section, without names of policies and the like in its rows."""
    yield section.title
    yield from section.text
    for block in section.blocks:
        match block:
            case Table():
                yield block.caption
                yield from (column.name for column in block.columns)
            case Facts():
                yield from (term for term, _ in block.items)
            case Points():
                yield from block.items
            case Gallery():
                yield from (f"{picture.title}: {picture.point}" for picture in block.pictures)
            case _:
                pass
