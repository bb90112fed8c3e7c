"""Do the tests notice a fault: put faults into modules, one at a time, and run their tests.

``make mutants MODULES="routing simulation/stability"`` prints, for each module, the share of
faults that its tests noticed, and the faults that they did not. The faults are those of Cosmic
Ray (an operator, a number or a condition replaced), put into a copy of the checkout. Cosmic Ray
serves here, and mutmut does not, since mutmut wraps each function in Python code, which numba
cannot compile; a fault in compiled code is compiled anew, from an empty cache.

The tests of ``routingsim/a/b.py`` are ``tests/a/test_b.py``, ``tests/a/test_b_*.py`` and the files
of ``tests/a`` that name ``b`` in their docstring.
"""

import argparse
import concurrent.futures
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

ROOT = Path(__file__).resolve().parent.parent
WORKERS = 2
OPERATORS = [
    *(f"ReplaceBinaryOperator_{each}" for each in ("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul")),
    *(f"ReplaceComparisonOperator_{each}" for each in (
        "Eq_NotEq", "NotEq_Eq", "Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt", "Lt_Gt", "Gt_Lt",
        "Is_IsNot", "IsNot_Is"
    )),
    "ReplaceUnaryOperator_Delete_Not", "ReplaceAndWithOr", "ReplaceOrWithAnd", "AddNot",
    "NumberReplacer", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak", "ZeroIterationForLoop", "ExceptionReplacer",
]  # fmt: skip


def faults(code: str) -> list[str]:
    """Give the module's source with one fault in it, for each fault there can be."""
    found: dict[str, None] = {}
    tree = get_ast(code)
    for name in OPERATORS:
        operator = get_operator(f"core/{name}")()
        places = [place for node in ast_nodes(tree) for place in operator.mutation_positions(node)]
        for occurrence in range(len(places)):
            changed = mutate_code(code, operator, occurrence)
            if changed and changed != code:
                found[changed] = None
    return list(found)


def change(before: str, after: str) -> str:
    """Give the first line that differs, as it was and as it is."""
    pairs = zip(before.splitlines(), after.splitlines(), strict=False)
    for number, (old, new) in enumerate(pairs, start=1):
        if old != new:
            return f"{number}: {old.strip()}  ->  {new.strip()}"
    return "the last lines"


def tests_of(module: str) -> list[str]:
    """Name the test files that mirror a module, as paths from the root."""
    folder, name = (ROOT / "tests" / module).parent, Path(module).name
    read = ((path, path.read_text(encoding="utf-8")) for path in folder.glob("test_*.py"))
    told = [
        path for path, text in read if f"``{name}``" in text.partition('"""')[2].partition('"""')[0]
    ]
    mirror = [*folder.glob(f"test_{name}.py"), *folder.glob(f"test_{name}_*.py")]
    found = list(dict.fromkeys([*mirror, *told]))
    if not found:
        sys.exit(f"mutants: no tests/{Path(module).parent}/test_{name}.py")
    return [str(path.relative_to(ROOT)) for path in found]


def noticed(checkout: Path, module: str, code: str, tests: list[str]) -> bool:
    """Run the tests on a copy of the checkout whose module has this source."""
    path = checkout / "routingsim" / f"{module}.py"
    kept = path.read_text(encoding="utf-8")
    path.write_text(code, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    with tempfile.TemporaryDirectory() as cache:
        if "numba" in code:
            environment["NUMBA_CACHE_DIR"] = cache
        try:
            done = subprocess.run(
                command, cwd=checkout, env=environment, capture_output=True, timeout=300
            )
        except subprocess.TimeoutExpired:
            return True
        finally:
            path.write_text(kept, encoding="utf-8")
    return done.returncode != 0


def copies(folder: Path) -> list[Path]:
    """Copy what git tracks, once for each worker."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    made = []
    for k in range(WORKERS):
        for name in listed.stdout.splitlines():
            target = folder / str(k) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)
        made.append(folder / str(k))
    return made


def main() -> None:
    """Print what the tests of each module noticed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("modules", nargs="+", help="as routing or simulation/stability")
    parser.add_argument("--most", type=int, default=60, help="faults a module (default: 60)")
    parser.add_argument("--seed", type=int, default=0, help="picks the faults (default: 0)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        checkouts = copies(Path(folder))
        for module in options.modules:
            tests = tests_of(module)
            code = (ROOT / "routingsim" / f"{module}.py").read_text(encoding="utf-8")
            if noticed(checkouts[0], module, code, tests):
                sys.exit(f"mutants: the tests of {module} fail as they are")
            possible = faults(code)
            chosen = random.Random(options.seed).sample(possible, min(options.most, len(possible)))
            with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
                runs = [
                    pool.submit(_share, checkouts[k], module, chosen[k::WORKERS], tests)
                    for k in range(WORKERS)
                ]
                missed = [each for run in runs for each in run.result()]
            count = len(chosen) - len(missed)
            print(f"{module}: {count} of {len(chosen)} noticed ({100 * count / len(chosen):.0f} %)")
            for each in missed:
                print(f"  {change(code, each)}", flush=True)


def _share(checkout: Path, module: str, chosen: list[str], tests: list[str]) -> list[str]:
    return [each for each in chosen if not noticed(checkout, module, each, tests)]


if __name__ == "__main__":
    main()
