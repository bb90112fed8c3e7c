"""Where the command line begins: ``routingsim``, or ``python -m routingsim``."""

import signal
import sys
from importlib.machinery import ExtensionFileLoader
from types import FrameType

_AGAIN = 0.05  # seconds


def _interrupt(_: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, but not while a module in C is imported: soon after.

    Of an interrupt in the middle of it, some make an ImportError, or nothing at all.
    """
    while frame is not None:
        if isinstance(frame.f_locals.get("self"), ExtensionFileLoader):
            signal.setitimer(signal.ITIMER_REAL, _AGAIN)
            return
        frame = frame.f_back
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line; ctrl-C ends it without a traceback, from the first moment on."""
    timed = hasattr(signal, "setitimer")  # not on Windows
    if timed:
        signal.signal(signal.SIGALRM, _interrupt)
        signal.signal(signal.SIGINT, _interrupt)
    try:
        # It takes half a second to import, in which somebody may change his mind.
        from routingsim.cli import main as run

        run()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    finally:
        if timed:
            signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    main()
