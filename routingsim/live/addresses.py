"""URLs at which a browser finds the bridge and the HTTP API.

On one's own machine, these are the addresses they listen on. Behind JupyterHub or Binder,
``localhost`` is not the user's machine; jupyter-server-proxy forwards requests for
``<server>/proxy/<port>/``. Behind another proxy, its owner sets ``ROUTINGSIM_PUBLIC_WS`` and
``ROUTINGSIM_PUBLIC_HTTP`` (see :mod:`routingsim.live.settings`).
"""

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from routingsim.live.settings import Settings, redacted


class Addresses(msgspec.Struct, frozen=True):
    """Where the parts of a stack listen; None for one that does not run.

    ``redis`` is the Redis server's URL with its password, for clients and not for display;
    ``private`` its URL for routingsim's own publishers
    (:attr:`routingsim.live.broker.Broker.private_url`); ``broker`` its kind, version and URL
    without the password; ``login`` the redis-cli command with all rights on an embedded server.
    """

    redis: str
    private: str
    broker: str
    bridge: str | None
    api: str | None
    login: str | None = None

    def __str__(self) -> str:
        """A line for each, as a person reads them."""
        at = {"Redis": self.broker, "WebSocket": self.bridge, "HTTP API": self.api, "": self.login}
        return "\n".join(f"{part:<11}{said}" for part, said in at.items() if said)

    def to_dict(self) -> dict[str, str | None]:
        """URLs by part, None for one that does not run; ``--json`` prints it."""
        urls = {"redis": redacted(self.redis), "websocket": self.bridge, "api": self.api}
        return urls | {"login": self.login}


class Public(msgspec.Struct, frozen=True):
    """Where a browser finds the parts of a stack.

    Attributes
    ----------
    bridge, api
        URLs, or paths on the host of the notebook's page.
    from_page
        The bridge, in the form that :func:`routingsim.live.http.app.create_app` takes.
    origins
        Origins of pages that may connect, besides those of the server itself.
    by_host
        Whether a page of the same Host counts as the server's own even where the server
        listens on loopback. In general such a Host may be any DNS name made to point to
        loopback; behind a hub's proxy, which authenticates users and passes the Host on, it
        is the hub's.
    """

    bridge: str | None
    api: str | None
    from_page: str
    origins: tuple[str, ...]
    by_host: bool = False


def public_addresses(
    settings: Settings,
    bridge: str | None,
    api: str | None,
    environ: Mapping[str, str] | None = None,
) -> Public:
    """Addresses for a browser, from those the parts listen on.

    Parameters
    ----------
    settings
        Of these, ``public_ws``, ``public_http`` and ``origins`` are used.
    bridge, api
        Such as ``ws://127.0.0.1:3001`` and ``http://127.0.0.1:3000``; None for one that does
        not run.
    environ
        The environment, in which JupyterHub names its proxy; by default that of this process.

    Examples
    --------
    >>> here = ("ws://127.0.0.1:3001", "http://127.0.0.1:3000")
    >>> public_addresses(Settings(), *here, environ={}).bridge
    'ws://127.0.0.1:3001'
    >>> hub = {"JUPYTERHUB_SERVICE_PREFIX": "/user/ada/"}
    >>> public_addresses(Settings(), *here, environ=hub).bridge
    '/user/ada/proxy/3001/'
    """
    environ = os.environ if environ is None else environ
    prefix = environ.get("JUPYTERHUB_SERVICE_PREFIX", "").rstrip("/")
    urls = (bridge, api)
    ports = [urlsplit(url).port if url else None for url in urls]
    named = [
        public and public.replace("{port}", str(port))
        for public, port in zip((settings.public_ws, settings.public_http), ports, strict=True)
    ]
    shown = [
        url and (public or (f"{prefix}/proxy/{port}/" if prefix else url))
        for public, url, port in zip(named, urls, ports, strict=True)
    ]
    from_page = named[0] or (f"../{ports[0]}/" if prefix else f":{ports[0]}")
    hub = environ.get("JUPYTERHUB_PUBLIC_URL")
    origins = (*settings.origins, *(_origin(url) for url in (*named, hub) if url))
    return Public(shown[0], shown[1], from_page, tuple(dict.fromkeys(origins)), bool(prefix))


def _origin(url: str) -> str:
    """The origin of the pages at a URL."""
    parts = urlsplit(url)
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    return f"{scheme}://{parts.netloc}"
