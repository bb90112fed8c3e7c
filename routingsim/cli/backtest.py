"""``routingsim backtest``: would the simulator have predicted the last part of a log?"""

from pathlib import Path

from routingsim.cli.console import print_said, print_table, write_json
from routingsim.cli.log_options import LogInputs
from routingsim.cli.options import JsonOption, ReportOption, spread, write_page

_SPARE = ("calls", ("low", "high"))
_SHORT = {"as predicted": "held", "too few calls to say": "too few"}


@spread
def backtest(inputs: LogInputs, report: ReportOption = None, json_to: JsonOption = None) -> None:
    """Fit the first part of a log, replay the rest, and say how far the simulator is off.

    The calls after --at are replayed at their own times, to their own agents, with
    their own lengths. Predicted latency, time to the first token, cost and failures
    are compared with what was recorded, with 95 % intervals; rolling windows show how
    often these hold. The result is one sentence: how far the simulator is off at
    p95, and how large a difference must be to be believed. Every later report on
    the same log shows it.
    """
    settings = inputs.settings()
    log = inputs.read()
    found = log.backtest(**settings)
    if json_to is not None:
        write_json("backtest", found.to_dict(), json_to)
    if json_to != Path("-"):
        print_said(str(found), *found.below())
        heads, rows = found.shown()
        rows = [[*row, _SHORT.get(verdict, verdict)] for *row, verdict in rows]
        print_table(heads, rows, words=("agent", "figure", "verdict"), spare=_SPARE)
        print_said(
            "held: the predicted 95 % interval (low to high) holds what was recorded; "
            "too few: too few calls to say"
        )
    write_page(found, report)
