"""What every run of pytest shares, of tests and of notebooks: its environment, and nbval's kernels.

``pytest --nbval notebooks`` reads this file but not that of ``tests/``.
"""

import os
import tempfile
import uuid
from functools import partial
from pathlib import Path
from typing import Any

import pytest

# Workers fill the cores already: threads of linear algebra would only wait for each other, which
# took most of the processor time. The controller says it to its workers before they load any.
for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")

# Never talk to the developer's own servers.
_KEPT = {"ROUTINGSIM_DATA", "ROUTINGSIM_SOAK_SECONDS", "ROUTINGSIM_TEST_SEED"}
for _name in list(os.environ):
    mine = _name.startswith(("REDIS_", "WEBSOCKET_", "HTTP_HOST", "HTTP_PORT", "ROUTINGSIM_"))
    if mine and _name not in _KEPT:
        del os.environ[_name]

# Bars come with the time that work takes, which differs; stored outputs of notebooks have none.
os.environ["TQDM_DISABLE"] = "1"

# What backtests find is kept for later reports, here for those of this run.
_OWN = tempfile.TemporaryDirectory(prefix="routingsim-tests-")
os.environ["ROUTINGSIM_BACKTESTS"] = f"{_OWN.name}/backtests"


def pytest_configure(config: pytest.Config) -> None:
    """Have nbval sanitise outputs, and reach its kernels by files instead of TCP ports."""
    if not getattr(config.option, "nbval", False):  # nor where the plugin is left out
        return
    if config.option.nbval_sanitize_with is None:
        config.option.nbval_sanitize_with = str(
            Path(__file__).with_name("tests") / "notebooks" / "sanitize.cfg"
        )
    from nbval import kernel  # slow

    kernel.KernelManager = partial(reached_by_files, kernel.KernelManager)


def reached_by_files(manager: Any, **given: Any) -> Any:
    """Make a kernel's manager that no other process can take the addresses of.

    Of itself it tells the kernel ports that were free: where a server or a connection of another
    test gets one before the kernel has started, the kernel dies.
    """
    return manager(transport="ipc", connection_file=f"{_OWN.name}/{uuid.uuid4()}.json", **given)
