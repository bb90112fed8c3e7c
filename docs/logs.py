"""Write logs.md from the registered shapes of logs, so that its field tables are those in use.

``make docs`` runs this; a test fails where the page is not current.
"""

from pathlib import Path

from routingsim.corpora.logs.fields import FIELDS
from routingsim.corpora.logs.registry import shapes
from routingsim.corpora.logs.shape import Shape

PAGE = Path(__file__).resolve().parent / "logs.md"
MARK = "<!-- made by docs/logs.py from here on -->"
KINDS = {
    "calls": "A row a call.",
    "requests": "Requests, which bring their texts to the calls.",
    "answers": "An evaluation with a row an answer: `rs.load_corpus` makes a corpus of it.",
}


def page() -> str:
    """The page: what was written by hand, and a table for each shape."""
    hand = PAGE.read_text(encoding="utf-8").partition(MARK)[0]
    return f"{hand}{MARK}\n\n" + "\n".join(map(section, shapes().values()))


def section(shape: Shape) -> str:
    """A shape's field table."""
    head = [f"### `{shape.name}`", "", f"{shape.title[0].upper()}{shape.title[1:]}. {shape.form}."]
    if shape.kind != "calls":
        head.append(KINDS[shape.kind])
    rows = ["", "| field | where | |", "|---|---|---|"]
    said = dict(shape.said)
    for ours in FIELDS:
        if ours in shape.table or ours in said:
            where = shape.table.get(ours, "").replace("|", "`, `")
            rows.append(f"| `{ours}` | {f'`{where}`' if where else ''} | {said.pop(ours, '')} |")
    return "\n".join([*head, *rows, ""])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
