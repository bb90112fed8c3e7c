"""Settings of the live part, from the environment and ``.env.local``.

docs/operations.md lists the variables. The environment wins over the file; an empty value
counts as unset. Each limit of :class:`~routingsim.live.bridge.protocol.Limits` is one, too,
such as ``ROUTINGSIM_CONNECTIONS``, and of :class:`~routingsim.live.http.limits.HttpLimits`, such as
``ROUTINGSIM_HTTP_CONNECTIONS``. The file has the usual dotenv grammar: comments, quotes and
``export`` are allowed, ``${NAME}`` is not expanded. ``REDIS_URL`` takes ``redis://``,
``rediss://`` (TLS), ``unix://`` and, for a Redis Cluster, ``rediscluster://`` or
``?cluster=true``.
"""

import dataclasses
import math
import os
import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import msgspec
from dotenv.parser import parse_stream
from msgspec import Meta

from routingsim.errors import RoutingSimError
from routingsim.live.bridge.protocol import Limits
from routingsim.live.http.limits import HttpLimits

SCHEMES = ("redis", "rediss", "unix", "rediscluster")
URL_ALLOWED = "redis://, rediss:// or rediscluster:// and a host, or unix:///path"
"""What a Redis URL may look like, for error messages."""

SECRET = "***"

# A type's description is what an error message gives as allowed.
_PLACE = r"([^\s/:?#@\[\]]+|\[[0-9A-Fa-f:.]+\])"


def _public_url(scheme: str) -> Any:
    return Meta(
        pattern=rf"^{scheme}s?://{_PLACE}(:(\d{{1,5}}|{{port}}))?([/?].*)?\Z",
        description=f"a URL that begins with {scheme}:// or {scheme}s://, in which {{port}} stands "
        "for the port",
    )


_Host = Annotated[
    str,
    Meta(
        pattern=r"^[\w.:%-]+\Z",
        description="a host name or an IP address, without scheme or port",
    ),
]
_Port = Annotated[
    int, Meta(ge=0, le=65535, description="a whole number from 0 (any free port) to 65535")
]
_RedisPort = Annotated[int, Meta(ge=0, le=65535, description="a whole number from 1 to 65535")]
_History = Annotated[
    int, Meta(ge=1, le=10_000_000, description="a whole number from 1 to 10000000")
]
_Probability = Annotated[float, Meta(ge=0, le=1, description="a probability from 0 to 1")]
_Flag = Annotated[bool, Meta(description="true or false")]
_LogFormat = Annotated[Literal["text", "json"], Meta(description="text or json")]
_LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"],
    Meta(description="debug, info, warning or error"),
]
_File = Annotated[str, Meta(description="the path of a file that exists")]
_RedisURL = Annotated[str, Meta(description=URL_ALLOWED)]
_Origin = Annotated[
    str,
    Meta(
        pattern=rf"^(\*|https?://{_PLACE}(:\d{{1,5}})?)\Z",
        description="origins such as https://hub.example.org, separated by commas, or *",
    ),
]
_Network = Annotated[
    str,
    Meta(
        description="IP addresses and networks such as 10.0.0.0/8, separated by commas, or none",
    ),
]
_Buffer = Annotated[int, Meta(ge=2, description="a whole number of messages, 2 or more")]
_LIMITS = {int: "a whole number above 0", float: "a number above 0"}

_PREFIXES = {Limits: "ROUTINGSIM_", HttpLimits: "ROUTINGSIM_HTTP_"}
"""What the variables of each kind of limits begin with."""

HISTORY_LIMIT = "history_messages"
"""The limit that ``ROUTINGSIM_HISTORY`` sets, for Redis and bridge alike."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the live part; the fields are the variables in lower case.

    ``repr`` shows neither password nor token. ``insecure`` allows to listen beyond loopback
    without a token, ``otel`` makes the API's decisions spans. ``limits`` are those of the bridge,
    where ``history`` stands for ``history_messages``, ``http_limits`` those of the API;
    ``buffer`` is the publisher's.
    """

    redis_host: _Host | None = None
    redis_port: _RedisPort = 6379
    redis_username: str | None = None
    redis_password: str | None = None
    redis_url: _RedisURL | None = None
    redis_ca_file: _File | None = None
    websocket_host: _Host = "127.0.0.1"
    websocket_port: _Port = 3001
    http_host: _Host = "127.0.0.1"
    http_port: _Port = 3000
    token: str | None = None
    history: _History = 10_000
    tls_cert: _File | None = None
    tls_key: _File | None = None
    origins: tuple[_Origin, ...] = ()
    public_ws: Annotated[str, _public_url("ws")] | None = None
    public_http: Annotated[str, _public_url("http")] | None = None
    explore: _Probability | None = None
    insecure: _Flag = False
    otel: _Flag = False
    log_format: _LogFormat = "text"
    log_level: _LogLevel = "info"
    buffer: _Buffer = 100_000
    trusted_proxies: tuple[_Network, ...] = ("127.0.0.0/8", "::1")
    limits: Limits = Limits()
    http_limits: HttpLimits = HttpLimits()

    @property
    def bridge_limits(self) -> Limits:
        """The limits of the bridge, which serves as much history as Redis keeps."""
        return dataclasses.replace(self.limits, history_messages=self.history)

    @property
    def configured(self) -> bool:
        """Whether a Redis server is named, so that none is embedded."""
        return self.redis_url is not None or self.redis_host is not None

    @property
    def url(self) -> str:
        """URL of the Redis server, with its password: for clients, not for display.

        User, password and CA file are added to a ``REDIS_URL`` without them.
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
        fields = msgspec.structs.asdict(self)
        fields |= {name: SECRET for name in ("redis_password", "token") if fields[name]}
        fields["redis_url"] = self.redis_url and redacted(self.redis_url)
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in fields.items())})"


def redacted(url: str) -> str:
    """The URL with ``***`` for its password, wherever the password stands.

    Examples
    --------
    >>> redacted("rediss://ada:secret@db.example:6380/0?password=secret")
    'rediss://ada:***@db.example:6380/0?password=***'
    """
    # A pattern, not a parser: a malformed URL may have a password too. Greedy up to the last
    # "@", because passwords with "@" and "/" are pasted without quoting.
    url = re.sub(r"^(\w+://[^:@/?]*):.*@", rf"\1:{SECRET}@", url)
    return re.sub(r"([?&](?:ssl_)?password=)[^&]*", rf"\1{SECRET}", url)


def checked_url(url: str) -> str:
    """The URL unchanged, if it is the URL of a Redis server.

    The message of the ValueError for any other may hold the password: do not show it.
    """
    parts = urlsplit(url)
    place = parts.path if parts.scheme == "unix" else parts.hostname
    _ = parts.port  # raises ValueError where it is none
    if parts.scheme not in SCHEMES or not place:
        raise ValueError(url)
    return url


def load_settings(
    environ: Mapping[str, str] | None = None, file: str | os.PathLike[str] = ".env.local"
) -> Settings:
    """Read the settings.

    Parameters
    ----------
    environ
        The environment; by default that of this process.
    file
        A dotenv file, with lines of ``NAME=value``; it need not exist. Variables of other
        programs are skipped.

    Raises
    ------
    RoutingSimError
        If a variable has a value that is not allowed, or a line of the file cannot be read.
    """
    environ = os.environ if environ is None else environ
    if not isinstance(environ, Mapping):
        raise RoutingSimError(
            f"load_settings(environ={environ!r}): the environment must be a mapping of names to "
            "values; name a file with load_settings(file=...)"
        )
    found = {name: (value, place) for name, value, place in _file_values(Path(file))}
    found |= {name: (value, "environment") for name, value in environ.items()}
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(Settings):
        own = field.name.startswith(("redis_", "websocket_", "http_"))
        name = ("" if own else "ROUTINGSIM_") + field.name.upper()
        text, place = found.get(name, ("", ""))
        if field.type in _PREFIXES:
            values[field.name] = _limits(field.type, found)
        if not text or field.type in _PREFIXES:
            continue
        try:
            values[field.name] = _convert(text, field.type)
        except (ValueError, msgspec.ValidationError):
            raise RoutingSimError(
                f"{name} ({place}): found {redacted(text)!r}, allowed is {_allowed(field.type)}"
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


def _limits(kind: type[Any], found: Mapping[str, tuple[str, str]]) -> Any:
    """The limits of this kind."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        name = _PREFIXES[kind] + field.name.upper()
        text, place = found.get(name, ("", ""))
        if not text or field.name == HISTORY_LIMIT:
            continue
        number = type(field.default)
        try:
            value: Any = msgspec.convert(text, number, strict=False)
        except msgspec.ValidationError:
            value = math.nan
        if not 0 < value < math.inf:
            raise RoutingSimError(f"{name} ({place}): found {text!r}, allowed is {_LIMITS[number]}")
        values[field.name] = value
    return kind(**values)


def _file_values(file: Path) -> Iterator[tuple[str, str, str]]:
    """Name, value and place of each variable in a dotenv file."""
    try:
        with file.open(encoding="utf-8") as stream:
            statements = list(parse_stream(stream))
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise RoutingSimError(f"{file}: cannot be read as UTF-8 text: {error}") from error
    for statement in statements:
        text, line = statement.original
        place = f"{file}:{line + text[: len(text) - len(text.lstrip())].count(chr(10))}"
        if statement.error or (statement.key and statement.value is None):
            # The line is not shown: it may be a password without its name.
            raise RoutingSimError(f"{place}: allowed is NAME=value, or # and a comment")
        if statement.key:
            yield statement.key, statement.value or "", place


def _convert(text: str, kind: Any) -> Any:
    """The value of a field; ValueError or msgspec.ValidationError if the text is not allowed."""
    if _Origin in get_args(kind):
        parts = [part.strip().rstrip("/").lower() for part in text.split(",")]
        return msgspec.convert([part for part in parts if part], kind)
    if _Network in get_args(kind):
        networks = [part.strip() for part in text.split(",") if part.strip()]
        return tuple(each for each in networks if each.lower() != "none" and ip_network(each))
    if _File in get_args(kind) and not Path(text).is_file():
        raise ValueError(text)
    if _RedisURL in get_args(kind):
        return checked_url(text)
    value = msgspec.convert(text, kind, strict=False)
    if kind == _RedisPort and value == 0:  # any free port, which only a program can find out
        raise ValueError(text)
    return value


def _allowed(kind: Any) -> str:
    """What the description of a type says is allowed."""
    parts = (kind, *get_args(kind))
    return next(part.__metadata__[0].description for part in parts if get_origin(part) is Annotated)
