"""``routingsim whatif``: other policies, loads, prices and pools on the traffic of a log."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from routingsim.cli.completion import complete_policy
from routingsim.cli.console import print_said, print_table, write_json
from routingsim.cli.log_options import LogInputs
from routingsim.cli.options import JsonOption, ReportOption, load_option, option, spread, write_page
from routingsim.errors import RoutingSimError


@spread
def whatif(
    inputs: LogInputs,
    policy: Annotated[
        list[str] | None,
        option(
            "NAME",
            "Routing policy to try: see routingsim policies. Default: cheapest and "
            "least-loaded. Can be repeated; the baseline is always logged, what the log did.",
            "--policy",
            "-p",
            complete=complete_policy,
        ),
    ] = None,
    shift: Annotated[
        str, load_option("FACTORx", "What if tasks came so many times as fast: 2x, 0.5x.")
    ] = "1x",
    without: Annotated[
        list[str] | None,
        load_option("AGENT", "What if this agent were gone. Can be repeated."),
    ] = None,
    price: Annotated[
        list[str] | None,
        load_option(
            "AGENT[:FIELD]=USD",
            "What if it cost this: gpt-4=0.02 (USD per 1,000 tokens), or a field of its price "
            "as gpt-4:input=2 (USD per million). Can be repeated.",
        ),
    ] = None,
    report: ReportOption = None,
    json_to: JsonOption = None,
) -> None:
    """What would another policy, load, price or pool have done to the traffic of a log?

    From a log to a report in one command: the agents are fitted to the log, a backtest
    says how far the simulator is off on this traffic, and the tasks are replayed at
    their own times under what the log did (logged) and under each policy. Where the
    log has one answer a task, qualities and costs of other choices are estimates with
    a verdict. A change of p95 that is smaller than the simulator's error is marked.
    """
    from routingsim.evaluation.whatif import DEFAULT

    settings, prices = inputs.settings(), _prices(price or [])
    log = inputs.read()
    found = log.whatif(
        policy or DEFAULT,
        shift=shift,
        without=without or (),
        prices=prices,
        **settings,
    )
    if json_to is not None:
        write_json("whatif", found.to_dict(), json_to)
    if json_to != Path("-"):
        print_said(str(found))
        words = ("policy", "p95 change", "stability")
        print_table(*found.shown(), words=words, spare=("p99 s", "answered", "wait s"))
        print_said(*found.below())
    write_page(found, report)


def _prices(texts: Sequence[str]) -> dict[str, dict[str, float]]:
    """``gpt-4:input=2`` and ``llama=0.001``, by agent and field."""
    found: dict[str, dict[str, float]] = {}
    for text in texts:
        name, _, value = text.rpartition("=")
        agent, _, field = name.rpartition(":")
        try:
            number = float(value)
        except ValueError:
            name, number = "", 0.0
        if not name:
            raise RoutingSimError(
                f"--price {text!r}: an agent and its price are needed, as gpt-4=0.02 or "
                "gpt-4:input=2"
            )
        given = {field: number} if agent else {"cost": number}
        found.setdefault(agent or name, {}).update(given)
    return found
