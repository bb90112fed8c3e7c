"""Draw the architecture from the import graph, and list the modules in architecture.md.

Layers are those of the import contract in pyproject.toml; an arrow is an import that is
there. ``make docs`` runs this, and a test fails where the picture is not of the code as it stands.
"""

import ast
import re
import tomllib
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import grimp

ROOT = Path(__file__).resolve().parent.parent
PICTURE, PAGE = ROOT / "docs" / "architecture.svg", ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- modules: written by docs/architecture.py -->", "<!-- end of modules -->"

# Known to nearly all: their arrows would hide the others.
PLAIN = {"errors", "messages", "rng"}
WIDTH, ROW, BOX, MARGIN = 640, 80, 40, 16

STYLE = """
  text { font: 14px system-ui, sans-serif; text-anchor: middle; fill: #1b1f24 }
  rect { fill: #eef3fb; stroke: #4c72b0; stroke-width: 1.2 }
  path { fill: none; stroke: #6b7280; stroke-width: 1.1; marker-end: url(#head) }
  .ground { fill: #ffffff; stroke: none }
  .head { fill: #6b7280; stroke: none; marker-end: none }
"""


def contract() -> dict[str, Any]:
    """The contract on layers in pyproject.toml."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = {each["id"]: each for each in pyproject["tool"]["importlinter"]["contracts"]}
    return contracts["layers"]


def layers() -> list[list[str]]:
    """Top-level modules and packages a layer, the highest first."""
    here = {path.stem for path in (ROOT / "routingsim").iterdir()}
    named = [re.findall(r"\w+", layer) for layer in contract()["layers"]]
    return [present for layer in named if (present := [each for each in layer if each in here])]


def imports(names: list[str]) -> dict[str, set[str]]:
    """Which of these each imports, leaving out what it also reaches by way of another."""
    graph = grimp.build_graph("routingsim", cache_dir=None, exclude_type_checking_imports=True)
    for each in contract()["ignore_imports"]:  # the conveniences that climb, inside methods
        importer, imported = each.split(" -> ")
        if not imported.endswith("*") and graph.direct_import_exists(
            importer=importer, imported=imported
        ):
            graph.remove_import(importer=importer, imported=imported)
    direct: dict[str, set[str]] = {}
    for name in names:
        inside = {f"routingsim.{name}"} | graph.find_descendants(f"routingsim.{name}")
        found = {
            each for module in inside for each in graph.find_modules_directly_imported_by(module)
        }
        direct[name] = {each.split(".")[1] for each in found - inside if "." in each}
    reached: dict[str, set[str]] = {}

    def reach(name: str) -> set[str]:
        if name not in reached:
            reached[name] = set()
            reached[name] = direct[name].union(*(reach(each) for each in direct[name]))
        return reached[name]

    return {
        name: {each for each in below if not any(each in reach(other) for other in below - {each})}
        for name, below in direct.items()
    }


def rows(below: dict[str, set[str]]) -> list[list[str]]:
    """Layers, each in as many rows as it has imports within it, ordered to cross few arrows."""
    found: list[list[str]] = []
    for layer in layers():
        depth = dict.fromkeys(layer, 0)
        for _ in layer:
            for name in layer:
                depth |= {
                    each: max(depth[each], depth[name] + 1) for each in below[name] & set(layer)
                }
        found += [[n for n in layer if depth[n] == d] for d in range(max(depth.values()) + 1)]
    centre: dict[str, float] = {}
    for row in found:
        above = {n: [centre[each] for each in centre if n in below[each]] for n in row}
        row.sort(key=lambda n: sum(above[n]) / len(above[n]) if above[n] else 0.0)
        centre |= {n: k - (len(row) - 1) / 2 for k, n in enumerate(row)}
    return found


def picture() -> str:
    """The architecture as SVG: a row a layer, a box a module or package."""
    below = imports([name for layer in layers() for name in layer])
    rows_of_boxes = rows(below)
    height = MARGIN * 2 + ROW * (len(rows_of_boxes) - 1) + BOX
    place: dict[str, tuple[float, float, float]] = {}
    for r, row in enumerate(rows_of_boxes):
        widths = [26 + 8.2 * len(name) for name in row]
        gap = min(120.0, (WIDTH - 2 * MARGIN - sum(widths)) / len(row))
        x = (WIDTH - sum(widths) - gap * (len(row) - 1)) / 2
        for name, width in zip(row, widths, strict=True):
            place[name] = (x, MARGIN + ROW * r, width)
            x += width + gap
    lines, boxes = [], []
    for name, (x, y, width) in place.items():
        for other in sorted(below[name] - PLAIN):
            to_x, to_y, to_width = place[other]
            x1, x2 = x + width / 2, to_x + to_width / 2
            bend = f"M{x1:.0f} {y + BOX:.0f} C{x1:.0f} {y + ROW:.0f} {x2:.0f} {to_y - 40:.0f}"
            lines.append(f'<path d="{bend} {x2:.0f} {to_y - 3:.0f}"/>')
        boxes.append(
            f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{BOX}" rx="6"/>'
            f'<text x="{x + width / 2:.0f}" y="{y + 25:.0f}">{escape(name)}</text>'
        )
    marker = (
        '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path class="head" d="M0 0 8 4 0 8z"/></marker>'
    )
    body = "\n".join([*lines, *boxes])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">\n'
        f"<title>Modules of routingsim by layer, with an arrow for each import</title>\n"
        f"<style>{STYLE}</style>\n<defs>{marker}</defs>\n"
        f'<rect class="ground" width="{WIDTH}" height="{height}"/>\n{body}\n</svg>\n'
    )


def modules() -> str:
    """Every module with the first line of its docstring, layer by layer."""
    lines: list[str] = []
    for layer in layers():
        lines += ["", f"### {', '.join(layer)}", "", "| module | what it is |", "|---|---|"]
        for name in layer:
            path = ROOT / "routingsim" / name
            files = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
            lines += [f"| `{_module(file)}` | {_first_line(file)} |" for file in files]
    return "\n".join(lines).strip()


def _module(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts[1:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _first_line(file: Path) -> str:
    said = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    line = " ".join(said.partition("\n\n")[0].split())
    return re.sub(r":\w+:`~?([^`]+)`", r"`\1`", line).replace("``", "`").replace("|", "\\|")


def page() -> str:
    """architecture.md with its list of modules brought up to date."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    return f"{before}{BEGIN}\n\n{modules()}\n\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")
