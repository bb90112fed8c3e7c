"""Redis servers of the system, beside the embedded one."""

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from typing import Any, ClassVar, Self
from urllib.parse import quote

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from routingsim.live.broker import Broker
from routingsim.live.settings import Settings


class SystemServer:
    """A server program of the system, used in a test as :class:`Broker` is.

    Raises :class:`RuntimeError` at the start if the program ends.
    """

    program: ClassVar[str]

    def __init__(self, settings: Settings, config: Mapping[str, str | int] | None = None) -> None:
        password = settings.redis_password or ""
        self._port = settings.redis_port or _free_port()
        self._folder = tempfile.TemporaryDirectory()
        escaped = "".join(f"\\x{byte:02x}" for byte in password.encode())
        directives: dict[str, Any] = {
            "port": self._port,
            "bind": "127.0.0.1",
            "dir": f'"{self._folder.name}"',
            "save": '""',
            "requirepass": f'"{escaped}"',
        } | dict(config or {})
        self._config = "".join(f"{name} {value}\n" for name, value in directives.items())
        self._process: subprocess.Popen[bytes] | None = None
        login = f":{quote(password, '')}@" if password else ""
        self.url = f"redis://{login}127.0.0.1:{self._port}/0"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> Self:
        process = self._process = subprocess.Popen(
            [self.program, "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        assert process.stdin
        process.stdin.write(self._config.encode())
        process.stdin.close()
        with Redis.from_url(self.url) as client:
            while True:
                with contextlib.suppress(RedisConnectionError):
                    client.ping()
                    return self
                if process.poll() is not None:
                    raise RuntimeError(f"{self.program} ended with code {process.returncode}")
                time.sleep(0.01)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def servers() -> dict[str, Any]:
    """The servers there are, by name: ``"embedded"``, and the programs on PATH."""
    programs = filter(shutil.which, ("redis-server", "valkey-server"))
    found = {name: type(name, (SystemServer,), {"program": name}) for name in programs}
    return {"embedded": Broker} | found
