"""Do the tests notice a fault: put faults into modules, one at a time, and run their tests.

``make mutants MODULES="routing/router simulation/stability"`` prints, for each module, the share of
faults that its tests noticed, and the faults that they did not. The faults are those of Cosmic
Ray (an operator, a number or a condition replaced), put into a copy of the checkout. Cosmic Ray
serves here, and mutmut does not, since mutmut wraps each function in Python code, which numba
cannot compile; code compiled of the module, or of one that imports it, is compiled anew.

Limits are in processor time, and mean the same on a machine that does other work: a run that takes
three times as long as that without a fault, and 30 s more, counts as noticed.

The tests of ``routingsim/a/b.py`` are ``tests/a/test_b.py``, ``tests/a/test_b_*.py`` and the files
of ``tests/a`` that name ``b`` in their docstring.
"""

import argparse
import importlib.util
import math
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import grimp
import pytest
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

ROOT = Path(__file__).resolve().parent.parent
WORKERS = 2
MOST_SECONDS = 600  # of processor time for the tests of a module without a fault
COMPILING = 120  # seconds of processor time to compile a module again
LIBRARIES = ("numba", "pandas", "scipy.stats", "matplotlib.pyplot", "msgspec")
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
    return "the last"


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


def start(checkout: Path, module: str, code: str, tests: list[str], quick: bool, most: int) -> int:
    """Run the tests on a checkout whose module has this source; give the child's process id.

    The child is a fork of this process, which has read the libraries already, and it ends when it
    has used ``most`` seconds of processor time, or none in a minute, as where it waits for a lock.
    """
    path = checkout / "routingsim" / f"{module}.py"
    faulty = code != path.read_text(encoding="utf-8")
    if faulty:
        path.write_text(code, encoding="utf-8")
        Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        silent = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(silent, stream)
        resource.setrlimit(resource.RLIMIT_CPU, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        threading.Thread(target=_end_if_idle, daemon=True).start()
        os.chdir(checkout)
        # Python takes two faults of one size within one second for the same source.
        sys.dont_write_bytecode = faulty
        sys.path[0] = str(checkout)
        without = ["-p", "no:cacheprovider", "-p", "no:nbval"]  # nbval takes seconds to import
        options = ["-x", "-q", *without, *(["-m", "not slow"] if quick else [])]
        status = int(pytest.main([*options, *tests], plugins=[sys.modules[__name__]]))
    finally:
        os._exit(status)


def _end_if_idle() -> None:
    before = -1.0
    while (now := time.process_time()) > before + 0.1:
        before = now
        time.sleep(60)
    os._exit(1)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the quickest tests first: most faults end them there."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


def copy_to(folder: Path) -> None:
    """Copy what git tracks, and what numba has compiled of it."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    kept = (path.relative_to(ROOT) for path in ROOT.glob("routingsim/**/__pycache__/*.nb?"))
    for name in (*listed.stdout.splitlines(), *kept):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)


def forget_compiled(checkout: Path, module: str) -> None:
    """Remove what numba has compiled of the modules that import this one, and of itself."""
    graph = grimp.build_graph("routingsim", cache_dir=None)
    name = f"routingsim.{module.replace('/', '.')}"
    for each in (name, *graph.find_downstream_modules(name)):
        *folders, last = each.split(".")
        for path in checkout.joinpath(*folders).glob(f"__pycache__/{last}.*.nb?"):
            path.unlink()


def measure(module: str, most: int, seed: int, quick: bool) -> None:
    """Put ``most`` faults into a module; print those that its tests did not notice, and a sum."""
    tests = tests_of(module)
    code = (ROOT / "routingsim" / f"{module}.py").read_text(encoding="utf-8")
    possible = faults(code)
    left = random.Random(seed).sample(possible, min(most, len(possible)))
    count, missed = len(left), 0
    with tempfile.TemporaryDirectory() as folder:
        checkouts = [Path(folder, str(k)) for k in range(WORKERS)]
        copy_to(checkouts[0])
        _, status, used = os.wait4(start(checkouts[0], module, code, tests, quick, MOST_SECONDS), 0)
        if status:
            sys.exit(f"mutants: the tests of {module} fail as they are")
        seconds = 30 + 3 * math.ceil(used.ru_utime + used.ru_stime)
        if "numba" in code:
            seconds += COMPILING
            forget_compiled(checkouts[0], module)
        for other in checkouts[1:]:
            shutil.copytree(checkouts[0], other)
        running: dict[int, tuple[Path, str]] = {}
        while left or running:
            while left and checkouts:
                checkout, fault = checkouts.pop(), left.pop()
                running[start(checkout, module, fault, tests, quick, seconds)] = checkout, fault
            child, status = os.wait()
            checkout, fault = running.pop(child)
            checkouts.append(checkout)
            if not status:
                missed += 1
                print(f"  {module}, line {change(code, fault)}", flush=True)
    share = 100 * (count - missed) / count
    print(f"{module}: {count - missed} of {count} noticed ({share:.0f} %)", flush=True)


def main() -> None:
    """Print what the tests of each module noticed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("modules", nargs="+", help="as routing/router")
    parser.add_argument("--most", type=int, default=60, help="faults a module (default: 60)")
    parser.add_argument("--seed", type=int, default=0, help="picks the faults (default: 0)")
    parser.add_argument("--quick", action="store_true", help="without tests marked slow")
    options = parser.parse_args()
    for library in LIBRARIES:
        importlib.import_module(library)
    for module in options.modules:
        measure(module, options.most, options.seed, options.quick)


if __name__ == "__main__":
    main()
