"""Where the command line begins: ``routingsim``, or ``python -m routingsim``."""

import sys


def main() -> None:
    """Run the command line; ctrl-C ends it without a traceback, from the first moment on."""
    try:
        # It takes half a second to import, in which somebody may change his mind.
        from routingsim.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
