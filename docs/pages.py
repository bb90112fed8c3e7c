"""The code blocks of a page: find them, run them.

``python docs/pages.py concepts.md`` runs the Python of a page in the current folder, which
is how ``make docs`` draws the pictures that pages make; tests/docs/test_docs.py runs every
block of every page. A block that cannot run there says why in the line above it::

    <!-- not run: needs a cluster -->
"""

import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Block", "blocks", "run_python"]

_FENCE = re.compile(
    r"^(?:<!-- not run: (?P<why>.+?) -->\n+)?"
    r"(?P<indent> *)```(?P<language>\w+)[^\n]*\n(?P<code>.*?)^(?P=indent)```",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """A fenced block: its page and line, its language, its text, and why it is not run."""

    page: Path
    line: int
    language: str
    code: str
    not_run: str


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        line = text.count("\n", 0, match.start("code"))
        code = re.sub(rf"^{match['indent']}", "", match["code"], flags=re.MULTILINE)
        found.append(Block(page, line, match["language"], code, match["why"] or ""))
    return found


def run_python(block: Block, namespace: dict[str, Any]) -> None:
    """Run a Python block; a traceback shows the line in the page."""
    code = "\n" * block.line + block.code
    exec(compile(code, str(block.page), "exec"), namespace)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        namespace: dict[str, Any] = {"__name__": "__main__"}
        for block in blocks(Path(__file__).parent / name):
            if block.language == "python" and not block.not_run:
                run_python(block, namespace)
