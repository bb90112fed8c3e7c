"""Each word is explained where it is used first, and once."""

from routingsim.report.document import Answer, Column, Facts, Section, Summary, Table
from routingsim.report.glossary import GLOSSARY, Explained


def test_a_word_is_explained_once_where_it_is_used_first() -> None:
    explained = Explained()
    answer = explained.answer(Answer("Which?", "p95 3.2 s", (("How sure", ("no trade-offs",)),)))
    assert [term for term, _ in answer.terms] == ["p95", "trade-off"]
    assert dict(answer.terms)["p95"] == "95 % of the answers take at most so long"
    summary = explained.summary(Summary("Steady, p95", ("p99 at 3 s",), ()), ())
    assert [term for term, _ in summary.terms] == ["p99", "steady"]
    table = Table("The oracle", (Column("goodput"),), ())
    section = explained.section(Section("a", "Controls", ("p99",), (table,)))
    assert [term for term, _ in section.terms] == ["control", "oracle", "right answers in time"]
    (facts,) = explained.glossary().blocks
    assert isinstance(facts, Facts)
    assert [term for term, _ in facts.items] == [
        "control", "oracle", "p95", "p99", "right answers in time", "steady", "trade-off",
    ]  # fmt: skip


def test_names_in_rows_and_parts_of_words_are_no_use_of_a_word() -> None:
    table = Table("t", (Column("a", kind="text"),), (("oracle",),))
    for text in ("unsteady", "p951", "co-oracle", "slotted"):
        section = Explained().section(Section("a", text, (), (table,)))
        assert section.terms == ()


def test_every_word_finds_itself() -> None:
    for term in GLOSSARY:
        explained = Explained().section(Section("a", "", (term,)))
        assert term in dict(explained.terms)
