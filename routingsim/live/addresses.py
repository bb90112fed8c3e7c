"""Where a browser finds the bridge and the HTTP API, which may not be where we listen.

On one's own machine a browser uses the addresses as they are. Behind JupyterHub or Binder
``localhost`` is not the user's machine; there jupyter-server-proxy passes on what comes for
``<server>/proxy/<port>/``. Behind another proxy only its owner knows the address, and says
so:

======================== ======================================================
variable                 meaning
======================== ======================================================
``ROUTINGSIM_PUBLIC_WS``   address of the bridge, such as ``wss://example.org/ws``
``ROUTINGSIM_PUBLIC_HTTP`` address of the API, such as ``https://example.org/``
======================== ======================================================

In both, ``{port}`` stands for the port that is listened on.
"""

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from routingsim.errors import RoutingSimError

__all__ = ["Addresses", "Public", "public_addresses"]


class Addresses(msgspec.Struct, frozen=True):
    """Where the parts of a stack listen.

    Attributes
    ----------
    redis
        URL of the Redis server, with its password: for clients, not for people.
    broker
        Which server that is, in words.
    bridge, api
        URLs of the bridge and the HTTP API; None for what does not run.
    """

    redis: str
    broker: str
    bridge: str | None
    api: str | None


class Public(msgspec.Struct, frozen=True):
    """Where a browser finds them.

    Attributes
    ----------
    bridge, api
        URLs, or paths on the host that the notebook's page came from.
    from_page
        The bridge as :func:`routingsim.live.api.create_app` wants it.
    origins
        Origins of the pages that will connect, besides the usual ones.
    """

    bridge: str | None
    api: str | None
    from_page: str
    origins: tuple[str, ...]


def public_addresses(
    bridge: str | None, api: str | None, environ: Mapping[str, str] | None = None
) -> Public:
    """Addresses for a browser, from those listened on.

    Parameters
    ----------
    bridge, api
        Such as ``ws://127.0.0.1:3001`` and ``http://127.0.0.1:3000``; None for none.
    environ
        The environment; by default this process's.

    Raises
    ------
    RoutingSimError
        If one of the two variables is not a URL of the right kind.

    Examples
    --------
    >>> here = ("ws://127.0.0.1:3001", "http://127.0.0.1:3000")
    >>> public_addresses(*here, environ={}).bridge
    'ws://127.0.0.1:3001'
    >>> public_addresses(*here, environ={"JUPYTERHUB_SERVICE_PREFIX": "/user/ada/"}).bridge
    '/user/ada/proxy/3001/'
    """
    environ = os.environ if environ is None else environ
    prefix = environ.get("JUPYTERHUB_SERVICE_PREFIX", "").rstrip("/")
    ports = [urlsplit(url).port if url else None for url in (bridge, api)]
    said = [
        _said(environ, name, schemes, port)
        for (name, schemes), port in zip(_VARIABLES.items(), ports, strict=True)
    ]
    shown = [
        None if url is None else told or (f"{prefix}/proxy/{port}/" if prefix else url)
        for told, url, port in zip(said, (bridge, api), ports, strict=True)
    ]
    from_page = said[0] or (f"../{ports[0]}/" if prefix else f":{ports[0]}")
    origins = [_origin(url) for url in (*said, environ.get("JUPYTERHUB_PUBLIC_URL")) if url]
    if prefix and not origins:
        # The hub's own origin is not told to us. Whoever comes, comes through its proxy,
        # which has checked who that is and from which page.
        origins = ["*"]
    return Public(shown[0], shown[1], from_page, tuple(dict.fromkeys(origins)))


_VARIABLES = {
    "ROUTINGSIM_PUBLIC_WS": ("ws", "wss"),
    "ROUTINGSIM_PUBLIC_HTTP": ("http", "https"),
}


def _said(
    environ: Mapping[str, str], name: str, schemes: tuple[str, ...], port: int | None
) -> str | None:
    """The URL that a variable names."""
    text = environ.get(name)
    if not text:
        return None
    url = text.replace("{port}", str(port))
    try:
        parts = urlsplit(url)
        good = parts.scheme in schemes and parts.hostname and (parts.port or True)
    except ValueError:
        good = False
    if not good:
        raise RoutingSimError(
            f"{name} (environment): found {text!r}, allowed is a URL that begins with "
            f"{schemes[0]}:// or {schemes[1]}://, in which {{port}} stands for the port"
        )
    return url


def _origin(url: str) -> str:
    """The origin of pages from where this URL leads."""
    parts = urlsplit(url)
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    return f"{scheme}://{parts.netloc}"
