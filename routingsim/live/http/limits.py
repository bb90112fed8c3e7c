"""Limits of the HTTP API's connections."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, kw_only=True)
class HttpLimits:
    """Limits of the HTTP API; each must be greater than zero.

    Parameters
    ----------
    connections, connections_per_address
        Connections open at once, in all and from one address that is no trusted proxy's.
    requests_per_second, request_burst
        Requests of one client, and how many of them at once; those above wait for their turn.
    head_seconds, body_seconds
        Time to send the head of a request, from the connection or the answer before it on, and
        to send its body.
    stall_seconds
        A client that reads nothing of its answer for this long is cut.
    """

    connections: int = 1_000
    connections_per_address: int = 500
    requests_per_second: float = 500.0
    request_burst: int = 2_000
    head_seconds: float = 5.0
    body_seconds: float = 10.0
    stall_seconds: float = 20.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if not (value := getattr(self, field.name)) > 0:
                raise ValueError(f"limit {field.name} is {value!r}: must be above 0")
