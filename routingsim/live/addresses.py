"""Where a browser finds the bridge and the HTTP API, which may not be where we listen.

On one's own machine a browser uses the addresses as they are. Behind JupyterHub or Binder
``localhost`` is not the user's machine; there jupyter-server-proxy passes on what comes for
``<server>/proxy/<port>/``. Behind another proxy only its owner knows the address, and says
so in ``ROUTINGSIM_PUBLIC_WS`` and ``ROUTINGSIM_PUBLIC_HTTP``
(see :mod:`routingsim.live.settings`).
"""

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from routingsim.live.settings import Settings

__all__ = ["Addresses", "Public", "public_addresses"]


class Addresses(msgspec.Struct, frozen=True):
    """Where the parts of a stack listen.

    Attributes
    ----------
    redis
        URL of the Redis server, with its password: for clients, not for people.
    private
        The same server's for our own publishers
        (:attr:`routingsim.live.broker.Broker.private_url`).
    broker
        Which server that is, in words.
    bridge, api
        URLs of the bridge and the HTTP API; None for what does not run.
    """

    redis: str
    private: str
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
        The bridge as :func:`routingsim.live.http.app.create_app` wants it.
    origins
        Origins of the pages that will connect, besides the usual ones.
    by_host
        Whether to know our own pages by the Host they ask for even where we listen on
        loopback. That Host may be anyone's name made to point here, but not where what
        comes has passed a hub's proxy, which asks who it is and hands the Host on.
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
    """Addresses for a browser, from those listened on.

    Parameters
    ----------
    settings
        ``public_ws``, ``public_http`` and ``origins`` matter here.
    bridge, api
        Such as ``ws://127.0.0.1:3001`` and ``http://127.0.0.1:3000``; None for none.
    environ
        The environment, in which JupyterHub tells where its proxy is; by default this
        process's.

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
    ports = [urlsplit(url).port if url else None for url in (bridge, api)]
    said = [
        told and told.replace("{port}", str(port))
        for told, port in zip((settings.public_ws, settings.public_http), ports, strict=True)
    ]
    shown = [
        None if url is None else told or (f"{prefix}/proxy/{port}/" if prefix else url)
        for told, url, port in zip(said, (bridge, api), ports, strict=True)
    ]
    from_page = said[0] or (f"../{ports[0]}/" if prefix else f":{ports[0]}")
    hub = environ.get("JUPYTERHUB_PUBLIC_URL")
    origins = (*settings.origins, *(_origin(url) for url in (*said, hub) if url))
    return Public(shown[0], shown[1], from_page, tuple(dict.fromkeys(origins)), bool(prefix))


def _origin(url: str) -> str:
    """The origin of pages from where this URL leads."""
    parts = urlsplit(url)
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    return f"{scheme}://{parts.netloc}"
