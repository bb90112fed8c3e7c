"""Settings of the live side, from the environment and ``.env.local``.

===================== ============================================= ===========
variable              meaning                                       default
===================== ============================================= ===========
``REDIS_HOST``        Redis server to use; unset: an embedded one    unset
``REDIS_PORT``        its port, or the one wanted for the embedded   6379
``REDIS_USERNAME``    ACL user                                       unset
``REDIS_PASSWORD``    password                                       unset
``REDIS_URL``         all of the above in one; wins over REDIS_HOST  unset
``REDIS_CA_FILE``     certificates to trust; makes REDIS_HOST TLS    unset
``WEBSOCKET_HOST``    address the bridge listens on                  127.0.0.1
``WEBSOCKET_PORT``    its port; 0: any free one                      3001
``HTTP_HOST``         address the HTTP API listens on                127.0.0.1
``HTTP_PORT``         its port; 0: any free one                      3000
``ROUTINGSIM_TOKEN``  token that clients must present                unset
``ROUTINGSIM_HISTORY`` messages kept a channel                       10000
===================== ============================================= ===========

For what others than ourselves are to reach, see docs/operations.md:

========================== ==================================================
variable                   meaning
========================== ==================================================
``ROUTINGSIM_TLS_CERT``    certificate chain (PEM): bridge and API serve TLS
``ROUTINGSIM_TLS_KEY``     its private key, unless that is in the same file
``ROUTINGSIM_ORIGINS``     origins of pages that may connect, with commas
                           between, such as ``https://hub.example.org``
``ROUTINGSIM_PUBLIC_WS``   where browsers find the bridge behind a proxy, such
                           as ``wss://example.org/ws``; ``{port}`` stands for
                           the port listened on
``ROUTINGSIM_PUBLIC_HTTP`` the same of the API, ``https://example.org/``
========================== ==================================================

The environment wins over the file; an empty value counts as unset.
``REDIS_URL`` takes ``redis://``, ``rediss://`` (TLS), ``unix://`` and, for a
Redis Cluster, ``rediscluster://`` or ``?cluster=true``.
"""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import msgspec

from routingsim.errors import RoutingSimError

__all__ = ["URL_ALLOWED", "Settings", "checked_url", "load_settings", "redacted"]

SCHEMES = ("redis", "rediss", "unix", "rediscluster")
URL_ALLOWED = "redis://, rediss:// or rediscluster:// and a host, or unix:///path"
"""What a Redis URL may look like, for messages."""

SECRET = "***"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the live side needs to know; fields are the variables in lower case.

    ``repr`` shows neither password nor token.
    """

    redis_host: str | None = None
    redis_port: int = 6379
    redis_username: str | None = None
    redis_password: str | None = None
    redis_url: str | None = None
    redis_ca_file: str | None = None
    websocket_host: str = "127.0.0.1"
    websocket_port: int = 3001
    http_host: str = "127.0.0.1"
    http_port: int = 3000
    token: str | None = None
    history: int = 10_000
    tls_cert: str | None = None
    tls_key: str | None = None
    origins: tuple[str, ...] = ()
    public_ws: str | None = None
    public_http: str | None = None

    @property
    def configured(self) -> bool:
        """Whether a Redis server is named, so that none is to be embedded."""
        return self.redis_url is not None or self.redis_host is not None

    @property
    def url(self) -> str:
        """URL of the Redis server, with its password: for clients, not for people.

        User, password and CA file complete a ``REDIS_URL`` that names none.
        """
        host = self.redis_host or "127.0.0.1"
        scheme = "rediss" if self.redis_ca_file else "redis"
        bracketed = f"[{host}]" if ":" in host else host
        parts = urlsplit(self.redis_url or f"{scheme}://{bracketed}:{self.redis_port}/0")
        query = dict(parse_qsl(parts.query))
        netloc = parts.netloc
        if not (parts.username or parts.password or "password" in query):
            user, password = (
                quote(v or "", "") for v in (self.redis_username, self.redis_password)
            )
            login = user + (f":{password}" if password else "")
            netloc = f"{login}@{netloc}" if login else netloc
        if self.redis_ca_file:
            query.setdefault("ssl_ca_certs", self.redis_ca_file)
        options = f"?{urlencode(query)}" if query else ""
        return f"{parts.scheme}://{netloc}{parts.path}{options}"

    def __repr__(self) -> str:
        shown = []
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and name in ("redis_password", "token"):
                value = SECRET
            elif value is not None and name == "redis_url":
                value = redacted(value)
            shown.append(f"{name}={value!r}")
        return f"Settings({', '.join(shown)})"


def redacted(url: str) -> str:
    """The URL with its password, in whichever place, as ``***``.

    Examples
    --------
    >>> redacted("rediss://ada:secret@db.example:6380/0?password=secret")
    'rediss://ada:***@db.example:6380/0?password=***'
    """
    # By pattern, not by parser: a malformed URL has a password to hide too. Greedy up to
    # the last "@" because people paste passwords with "@" and "/" in them unquoted.
    url = re.sub(r"^(\w+://[^:@/?]*):.*@", rf"\1:{SECRET}@", url)
    return re.sub(r"([?&](?:ssl_)?password=)[^&]*", rf"\1{SECRET}", url)


def checked_url(url: str) -> str:
    """The URL as it is, if it is one of a Redis server.

    Raises
    ------
    ValueError
        If it is not. The message is for no one's eyes: it may hold the password.
    """
    parts = urlsplit(url)
    place = parts.path if parts.scheme == "unix" else parts.hostname
    _ = parts.port  # raises ValueError where it is none
    if parts.scheme not in SCHEMES or not place:
        raise ValueError(url)
    return url


class _Variable(NamedTuple):
    field: str
    read: Callable[[str], Any]
    allowed: str
    secret: bool = False


def _within(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not low <= (number := int(text)) <= high:
            raise ValueError
        return number

    return read


def _host(text: str) -> str:
    if not re.fullmatch(r"[\w.:%-]+", text):
        raise ValueError
    return text


def _file(text: str) -> str:
    if not Path(text).is_file():
        raise ValueError
    return text


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(part.strip().rstrip("/").lower() for part in text.split(",") if part.strip())
    for origin in origins:
        parts = urlsplit(origin)
        _ = parts.port
        whole = parts.hostname and origin == f"{parts.scheme}://{parts.netloc}"
        if origin != "*" and not (whole and parts.scheme in ("http", "https")):
            raise ValueError
    return origins


def _url_of(*schemes: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        parts = urlsplit(text.replace("{port}", "1"))
        _ = parts.port
        if parts.scheme not in schemes or not parts.hostname:
            raise ValueError
        return text

    return read


def _public(*schemes: str) -> str:
    begins = " or ".join(f"{scheme}://" for scheme in schemes)
    return f"a URL that begins with {begins}, in which {{port}} stands for the port"


_HOST = "a host name or an IP address, without scheme or port"
_FILE = "the path of a file that exists"
_PORT = "a whole number from 0 (any free port) to 65535"
_VARIABLES = {
    "REDIS_HOST": _Variable("redis_host", _host, _HOST),
    "REDIS_PORT": _Variable("redis_port", _within(1, 65535), "a whole number from 1 to 65535"),
    "REDIS_USERNAME": _Variable("redis_username", str, "any text"),
    "REDIS_PASSWORD": _Variable("redis_password", str, "any text", secret=True),
    "REDIS_URL": _Variable("redis_url", checked_url, URL_ALLOWED),
    "REDIS_CA_FILE": _Variable("redis_ca_file", _file, _FILE),
    "WEBSOCKET_HOST": _Variable("websocket_host", _host, _HOST),
    "WEBSOCKET_PORT": _Variable("websocket_port", _within(0, 65535), _PORT),
    "HTTP_HOST": _Variable("http_host", _host, _HOST),
    "HTTP_PORT": _Variable("http_port", _within(0, 65535), _PORT),
    "ROUTINGSIM_TOKEN": _Variable("token", str, "any text", secret=True),
    "ROUTINGSIM_HISTORY": _Variable(
        "history", _within(1, 10_000_000), "a whole number from 1 to 10000000"
    ),
    "ROUTINGSIM_TLS_CERT": _Variable("tls_cert", _file, _FILE),
    "ROUTINGSIM_TLS_KEY": _Variable("tls_key", _file, _FILE),
    "ROUTINGSIM_ORIGINS": _Variable(
        "origins", _origins, "origins such as https://hub.example.org with commas between, or *"
    ),
    "ROUTINGSIM_PUBLIC_WS": _Variable("public_ws", _url_of("ws", "wss"), _public("ws", "wss")),
    "ROUTINGSIM_PUBLIC_HTTP": _Variable(
        "public_http", _url_of("http", "https"), _public("http", "https")
    ),
}


def load_settings(
    environ: Mapping[str, str] | None = None, file: str | os.PathLike[str] = ".env.local"
) -> Settings:
    """Read the settings.

    Parameters
    ----------
    environ
        The environment; by default this process's.
    file
        Lines of ``NAME=value``; it need not exist. Variables of other programs are skipped.

    Raises
    ------
    RoutingSimError
        If a variable has a value that is not allowed, or the file a line that is none.
    """
    found = {name: (value, where) for name, value, where in _lines(Path(file))}
    for name, value in (os.environ if environ is None else environ).items():
        found[name] = (value, "environment")
    values: dict[str, Any] = {}
    for name, variable in _VARIABLES.items():
        text, where = found.get(name, ("", ""))
        if not text:
            continue
        try:
            values[variable.field] = variable.read(text)
        except ValueError:
            shown = SECRET if variable.secret else repr(redacted(text))
            raise RoutingSimError(
                f"{name} ({where}): found {shown}, allowed is {variable.allowed}"
            ) from None
    settings = Settings(**values)
    if settings.redis_ca_file and not settings.url.startswith(("rediss:", "rediscluster:")):
        raise RoutingSimError(
            f"REDIS_CA_FILE ({found['REDIS_CA_FILE'][1]}) is for TLS, but REDIS_URL "
            f"({found['REDIS_URL'][1]}) is {redacted(settings.url)!r}; write rediss://"
        )
    if settings.tls_key and not settings.tls_cert:
        raise RoutingSimError(
            f"ROUTINGSIM_TLS_KEY ({found['ROUTINGSIM_TLS_KEY'][1]}) needs ROUTINGSIM_TLS_CERT, the "
            "certificate that the key belongs to"
        )
    return settings


def _lines(file: Path) -> list[tuple[str, str, str]]:
    """Name, value and place of each line of an env file."""
    try:
        text = file.read_text("utf-8-sig")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise RoutingSimError(f"{file}: cannot be read as UTF-8 text: {error}") from error
    result = []
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        match = re.fullmatch(
            r"(?:export\s+)?(\w+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|(.*?))(?:\s+#.*)?", line
        )
        if not match:
            # The line itself is not shown: it may be a password without its name.
            raise RoutingSimError(f"{file}:{number}: allowed is NAME=value, or # and a comment")
        name, *texts = match.groups()
        result.append((name, next((t for t in texts if t is not None), ""), f"{file}:{number}"))
    return result
