"""``routingsim serve``, and replays published in real time."""

from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from routingsim.cli.completion import complete_policy
from routingsim.cli.console import remark, write_json
from routingsim.cli.options import AgentsOption, JsonOption, option
from routingsim.errors import BrokerError, RoutingSimError

if TYPE_CHECKING:
    from routingsim.live.addresses import Addresses
    from routingsim.simulation.result import ReplayResult

Only = StrEnum("Only", {"BRIDGE": "bridge", "API": "api"})
LogFormat = StrEnum("LogFormat", {"TEXT": "text", "JSON": "json"})
LogLevel = StrEnum(
    "LogLevel", {"DEBUG": "debug", "INFO": "info", "WARNING": "warning", "ERROR": "error"}
)


def serve(
    only: Annotated[
        Only | None, option(None, "Start only this part, beside a Redis server of your own.")
    ] = None,
    agents: AgentsOption = "default",
    policy: Annotated[
        str,
        option(
            "SPEC",
            "Routing policy of the API: see routingsim policies.",
            "--policy",
            "-p",
            complete=complete_policy,
        ),
    ] = "threshold",
    wait: Annotated[
        bool,
        option(
            None,
            "Wait for a configured Redis server that does not run yet.",
            "--wait/--no-wait",
        ),
    ] = True,
    insecure: Annotated[
        bool, option(None, "Listen for other machines even without a token.", "--insecure")
    ] = False,
    log_format: Annotated[
        LogFormat | None, option(None, "Form of the log; by default ROUTINGSIM_LOG_FORMAT.")
    ] = None,
    log_level: Annotated[
        LogLevel | None, option(None, "Least level to log; debug has a line per message.")
    ] = None,
    json_to: JsonOption = None,
) -> None:
    """Start broker, WebSocket bridge, HTTP API and dashboard; ctrl-C stops them.

    With --json, the addresses are written as one JSON document as soon as all parts
    have started: to a file, for which a script can wait, or with - as a line on standard output.
    """
    from msgspec.structs import replace

    from routingsim.agents import load_agents
    from routingsim.live.serve import serve as run
    from routingsim.live.settings import load_settings

    if only is Only.BRIDGE and (agents, policy) != ("default", "threshold"):
        raise RoutingSimError(
            "--agents and --policy are for the HTTP API, which --only bridge does not start; "
            "leave them out, or give them to the command that starts the API"
        )
    settings = load_settings()
    if only is Only.BRIDGE and not settings.configured:
        raise BrokerError(
            "the bridge alone needs the Redis server that others publish on: set REDIS_HOST or "
            "REDIS_URL, or start both together"
        )
    settings = replace(
        settings,
        insecure=settings.insecure or insecure,
        log_format=log_format.value if log_format else settings.log_format,
        log_level=log_level.value if log_level else settings.log_level,
    )

    def announce(addresses: "Addresses") -> None:
        if json_to is not None:
            write_json("serve", addresses.to_dict(), json_to)
        if json_to != Path("-"):
            print(addresses, flush=True)

    run(
        settings,
        only=only.value if only else None,
        announce=announce,
        pool=None if only is Only.BRIDGE else load_agents(agents),
        policy=policy,
        wait=wait,
    )


def play_live(results: "Sequence[ReplayResult]", speed: float, start: float) -> None:
    """Publish replays from ``start`` (s) at ``speed`` times real time, and show them."""
    from tqdm import tqdm

    from routingsim.live.publisher.playback import play
    from routingsim.live.settings import redacted
    from routingsim.live.stack import LiveStack
    from routingsim.simulation.to_messages import to_messages

    with LiveStack(pool=results[0].pool) as stack, stack.listen() as listener:
        remark(f"live: watch at {stack.public.api}")
        remark(f"live: decisions on {redacted(stack.redis_url)} and {stack.url}")
        sent = undelivered = 0
        lag = 0.0
        for result in results:
            seconds = float(result.log.finished.max())
            tasks = result.corpus.name if result.corpus else "synthetic tasks"
            form = "{desc}: {percentage:3.0f}% |{bar}| {n:,.0f} of {total:,.0f} s{postfix}"
            with tqdm(total=seconds, desc=result.policy.name, bar_format=form, disable=None) as bar:
                played = play(
                    to_messages(result),
                    stack.publisher,
                    speed=speed,
                    start=start,
                    title=f"{tasks}, policy {result.policy.name}",
                    end=seconds,
                    progress=lambda now, _, bar=bar: bar.update(now - bar.n),
                )
                bar.update(seconds - bar.n)
            sent += played.messages
            undelivered += played.undelivered
            lag = max(lag, played.lag_max)
        with suppress(TimeoutError):
            listener.wait_for(sent - undelivered, timeout=2.0)
        remark(
            f"live: {sent:,} messages published, {undelivered:,} undelivered, "
            f"{listener.count:,} received back over WebSocket; at most {1e3 * lag:,.0f} ms late"
        )
