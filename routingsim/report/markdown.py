"""The report as Markdown (GitHub's flavour) and as JSON."""

from collections.abc import Sequence

import msgspec

from routingsim.display import markdown_table
from routingsim.display import markdown_text as _plain
from routingsim.formatting import ABSENT, number
from routingsim.report.document import (
    Block,
    Document,
    Facts,
    Gallery,
    Points,
    Section,
    Table,
    Tasks,
    Terms,
)


def render_markdown(document: Document) -> str:
    """The report as Markdown, each plot in words."""
    return "\n\n".join([*_opening(document), *map(render_section, document.sections)]) + "\n"


def render_opening(document: Document) -> str:
    """Title, decision and summary of a report as Markdown."""
    return "\n\n".join(_opening(document))


def _opening(document: Document) -> list[str]:
    return [
        f"# {_plain(document.title)}",
        f"{_plain(document.subtitle)}. {document.date}",
        f"## {document.answer.title}",
        _plain(document.answer.asked),
        f"**{_plain(document.answer.answer)}**",
        *(
            f"**{title}.** {_plain(' '.join(lines))}".replace("\\`", "`")
            for title, lines in document.answer.parts
            if lines
        ),
        *_terms(document.answer.terms),
        "## Summary",
        _plain(document.summary.verdict),
        *_bullets(document.summary.findings),
        *map(_plain, document.summary.caveats),
        *_terms(document.summary.terms),
    ]


def render_section(section: Section) -> str:
    """One section of a report as Markdown, each plot in words."""
    lines = [render_heading(section)]
    for block in section.blocks:
        lines += _block(block)
    return "\n\n".join(lines)


def render_heading(section: Section) -> str:
    """The title of a section and its sentences as Markdown, without what they are about."""
    lines = [f"## {_plain(section.title)}", *map(_plain, section.text), *_terms(section.terms)]
    return "\n\n".join(lines)


def render_block(block: Block) -> str:
    """A table, list or gallery as Markdown."""
    return "\n\n".join(_block(block))


def _block(block: Block) -> list[str]:
    match block:
        case Table():
            return [f"**{_plain(block.caption)}**", _table(block)]
        case Facts():
            return ["\n".join(f"- {_plain(term)}: {_plain(said)}" for term, said in block.items)]
        case Points():
            return _bullets(block.items)
        case Gallery():
            return ["\n".join(f"- {_plain(f'{p.title}: {p.words}')}" for p in block.pictures)]
        case Tasks():
            return _tasks(block)


def _table(block: Table) -> str:
    left = [k for k, column in enumerate(block.columns) if column.kind == "text"]
    return markdown_table([c.title for c in block.columns], block.texts(), left=left)


def _tasks(block: Tasks) -> list[str]:
    lines = []
    for task in block.items:
        about = f" ({task.category})" if task.category else ""
        lines.append(f"### {_plain(f'Task {task.id}{about}')}")
        if task.text:
            lines.append(f"> {_plain(task.text)}")
        lines.append(
            "\n".join(
                f"- {_plain(c.policy)}: {_plain(c.agent)}{c.status and f' ({c.status})'}, "
                f"{'' if c.latency is None else f'{number(c.latency)} s, '}USD {number(c.cost)}, "
                f"quality {ABSENT if c.quality is None else f'{c.quality:.3f}'}"
                for c in task.choices
            )
        )
    return lines


def _bullets(sentences: Sequence[str]) -> list[str]:
    return ["\n".join(f"- {_plain(sentence)}" for sentence in sentences)]


def _terms(terms: Terms) -> list[str]:
    """The words that are new, in one paragraph."""
    said = "; ".join(f"*{_plain(term)}*: {_plain(meaning)}" for term, meaning in terms)
    return [f"{said}."] if terms else []


def render_json(document: Document) -> str:
    """The report as one JSON object: sentences, the results' own figures, and the tables.

    Figures are not rounded; an unknown one is null, an interval is a pair of its mean and
    half-width.
    """
    content = {
        "schema": "routingsim/report/1",
        "title": document.title,
        "date": document.date,
        "answer": document.answer,
        "summary": document.summary,
        **document.data,
        "sections": [
            {
                "id": section.id,
                "title": section.title,
                "text": section.text,
                "content": [found for block in section.blocks for found in _data(block)],
            }
            for section in document.sections
        ],
    }
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode() + "\n"


def _data(block: Block) -> list[object]:
    match block:
        case Table():
            columns = [{"name": c.name, "unit": c.unit} for c in block.columns]
            return [{"caption": block.caption, "columns": columns, "rows": block.rows}]
        case Facts():
            return [{"term": term, "said": said} for term, said in block.items]
        case Points():
            return list(block.items)
        case Gallery():
            return [{"plot": p.title, "words": p.words} for p in block.pictures]
        case Tasks():
            return list(block.items)
