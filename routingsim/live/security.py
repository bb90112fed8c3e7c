"""Who may connect: origins, tokens, addresses."""

import hmac
import re
import socket
from collections.abc import Collection, Sequence
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

_HOST = re.compile(r"([\w.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?", re.ASCII)
_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine and nothing else."""
    if host.lower().rstrip(".") == "localhost" or host.lower().endswith(".localhost"):
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def origin_allowed(
    origin: str | None, host: str, *, allowed: Collection[str], local: bool, tls: bool = False
) -> bool:
    """Whether a page of this origin may connect.

    A browser sends the page's origin, which no page can change. Programs that are not
    browsers send none and may connect: only a token keeps them out.

    Parameters
    ----------
    origin
        The Origin header, None if there is none.
    host
        The Host header.
    allowed
        Further origins to allow, such as ``"https://hub.example.org"``; ``"*"`` for all.
    local
        Whether the server listens on loopback only. A Host that is not loopback is then a
        DNS name made to point to loopback, and a page of that Host is not the server's own.
    tls
        Whether the server itself speaks TLS.
    """
    if origin is None or "*" in allowed or origin in allowed:
        return True
    page = _place(origin)
    if page is None:
        return False
    if is_loopback(page[0]):
        return True
    here = _place(f"{'https' if tls else 'http'}://{host}")
    if here is None or (local and not is_loopback(here[0])):
        return False
    if page == here:
        return True
    # Behind a proxy that ends TLS, the page has https and the Host no port.
    return not tls and page == _place(f"https://{host}")


def host_name(host: str) -> str | None:
    """The name or address in a Host header, without the port; None if it is not one."""
    match = _HOST.fullmatch(host)
    return match[1] if match else None


def host_allowed(host: str, allowed: Collection[str], *, local: bool = True) -> bool:
    """Whether a server without a token answers a request for this Host.

    A browser sends no Origin for a page's reads from its own host, and any site can point a
    DNS name of its own to this machine. So only names of loopback are answered, and those of the
    origins in ``allowed`` (``"*"`` for all). A program that sends no Host is answered. Where the
    server does not listen on loopback only (``local``), IP addresses, names without a dot and
    this machine's own name are answered too: no site can have these.
    """
    if not host or "*" in allowed:
        return True
    name = host_name(host)
    if name is None:
        return False
    name = name.lower()
    if is_loopback(name) or name in {urlsplit(origin).hostname for origin in allowed}:
        return True
    return not local and (_is_address(name) or "." not in name or name in _own_names())


def _is_address(name: str) -> bool:
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


@cache
def _own_names() -> tuple[str, str]:
    return socket.gethostname().lower(), socket.getfqdn().lower()


class Proxies:
    """The proxies whose ``X-Forwarded-For`` is trusted.

    Parameters
    ----------
    trusted
        Addresses and networks, such as ``"127.0.0.1"`` and ``"10.0.0.0/8"``.
    """

    def __init__(self, trusted: Collection[str]) -> None:
        self._networks = [ip_network(each, strict=False) for each in trusted]

    def trusts(self, address: str) -> bool:
        """Whether the address is that of a trusted proxy."""
        found = _address(address)
        return found is not None and any(found in network for network in self._networks)

    def client(self, peer: str, forwarded: Sequence[str]) -> str:
        """The address of the client behind a peer.

        Each proxy adds the address that it sees at the end of ``X-Forwarded-For``. So the client
        is the last address there that is no trusted proxy; what stands before it, the client
        itself may have written.

        >>> Proxies(["127.0.0.1"]).client("127.0.0.1", ["6.6.6.6, 203.0.113.7"])
        '203.0.113.7'
        """
        hops = [hop for header in forwarded for hop in header.split(",")]
        while hops and self.trusts(peer):
            found = _address(hops.pop().strip())
            if found is None:
                break
            peer = str(found)
        return peer


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """An IP address, with or without a port; None for anything else."""
    match = re.fullmatch(r"\[(.+)\](?::\d+)?|(\d+\.\d+\.\d+\.\d+):\d+", text, re.ASCII)
    try:
        found = ip_address((match[1] or match[2]) if match else text)
    except ValueError:
        return None
    # A socket for both families shows an IPv4 address as ::ffff:203.0.113.7.
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found


def bearer_matches(header: str, token: str) -> bool:
    """Whether an Authorization header has the token, compared in constant time."""
    scheme, _, given = header.partition(" ")
    right = hmac.compare_digest(given.strip().encode(errors="replace"), token.encode())
    return right and scheme.lower() == "bearer"


def url_of(scheme: str, host: str, port: int) -> str:
    """The URL of a server; an IPv6 address as its host gets brackets."""
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _place(url: str) -> tuple[str, int | None] | None:
    """Host and port of a URL; None if it has none."""
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None
    return (parts.hostname, port) if parts.hostname else None
