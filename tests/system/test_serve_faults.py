"""`routingsim serve`: other users of the machine, half requests (http/connections.py), no Redis."""

import asyncio
import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import msgspec
import pytest
from redis import Redis
from redis.exceptions import NoPermissionError

from routingsim.errors import RoutingSimError
from routingsim.live.serve import Plan, running
from routingsim.live.settings import Settings
from tests.system.test_lost_data import Server, serving

pytestmark = pytest.mark.system

SERVE = [sys.executable, "-m", "routingsim", "serve"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Served:
    """A `routingsim serve`, its addresses and its log."""

    def __init__(self, folder: Path, *words: str, files: int = 0, **environ: str) -> None:
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*SERVE, *words],
                cwd=folder,
                env=os.environ | {"WEBSOCKET_PORT": "0", "HTTP_PORT": "0"} | environ,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                preexec_fn=lambda: (
                    files and resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
                ),
            )

    def announced(self, count: int) -> list[str]:
        assert self.process.stdout
        return [self.process.stdout.readline()[11:].rstrip() for _ in range(count)]

    @property
    def log(self) -> str:
        return self._log.read_text()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    started: list[Served] = []

    def start(*words: str, **options: Any) -> Served:
        started.append(Served(tmp_path, *words, **options))
        return started[-1]

    yield start
    for each in started:
        each.process.terminate()
        each.process.communicate(timeout=20)


def get(url: str, path: str) -> tuple[int, dict[str, Any]]:
    try:
        with urlopen(url + path, timeout=10) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        return error.code, json.load(error)


def route(url: str) -> None:
    body = json.dumps({"text": "Say hello"}).encode()
    request = Request(url + "/api/routing/test", body, {"Content-Type": "application/json"})
    with urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def until(true: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def closed(sock: socket.socket) -> bool:
    """Whether the other side has closed or cut the connection."""
    sock.setblocking(False)
    try:
        while sock.recv(4096):
            pass
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_one_server_against_others_on_the_machine(serve: Callable[..., Served]) -> None:
    """Half requests of every kind; another user at its Redis; its Redis killed."""
    served = serve(
        "--log-format", "json", "--log-level", "debug", files=1024, REDIS_PORT=str(free_port())
    )
    redis, bridge, api, login = served.announced(4)
    port = urlsplit(redis.split()[-1]).port
    assert port

    # Anybody may listen, and nothing else.
    with Redis(port=port) as anybody, contextlib.closing(anybody.pubsub()) as monitor:
        assert anybody.ping()
        monitor.subscribe("task:routing")
        for command in (
            *("FLUSHALL", "SHUTDOWN", "PUBLISH task:routing x", "CONFIG SET requirepass x"),
            *("ACL SETUSER default on", "SUBSCRIBE other", "GET a"),
        ):
            with pytest.raises(NoPermissionError):
                anybody.execute_command(*command.split())
        route(api)
        messages = iter(lambda: monitor.get_message(timeout=5), None)
        assert any(b"routing_decision" in str(m["data"]).encode() for m in messages)
    # Who fills its memory is cut.
    greedy = socket.create_connection(("127.0.0.1", port))
    with greedy, pytest.raises(ConnectionError):
        greedy.sendall(b"*2\r\n$4\r\nPING\r\n$500000000\r\n" + bytes(300 * 2**20))
    # Who takes its connections is cut, too: here it allows 992.
    with contextlib.ExitStack() as stack:
        for _ in range(980):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        until(lambda: "redis_full" in served.log)
    # The line that is printed has all rights; its password is for this user alone.
    file = Path(login.split('"$(cat ')[1].split(")")[0])
    assert f"--user routingsim -p {port}" in login
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    with Redis(port=port, username="routingsim", password=file.read_text()) as owner:
        assert owner.xlen("{task:routing}:history") == 1

        # More half requests than files: health answers all the while, and they are cut.
        places = [(urlsplit(url).hostname, urlsplit(url).port) for url in (api, bridge)]
        kinds = [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: ",
                 b"POST /api/routing/test HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
                 b"Content-Type: application/json\r\n\r\n{"]  # fmt: skip
        with contextlib.ExitStack() as stack:
            half = []
            for number in range(1_100):
                place = places[number % 8 // 4]
                half.append(stack.enter_context(socket.create_connection(place)))
                with contextlib.suppress(ConnectionError):  # it was cut at once
                    half[-1].sendall(kinds[number % 4])
                if number % 100 == 99:
                    assert get(api, "/health")[0] == 200
                    assert get(bridge.replace("ws", "http"), "/health")[0] == 200
            assert get(bridge.replace("ws", "http"), "/ready")[0] == 200
            until(lambda: all(map(closed, half)), 15)
            assert get(api, "/ready")[0] == 200
        # Nor do half bodies alone, nor streams, keep others out of the API, which has 240.
        with contextlib.ExitStack() as stack:
            for _ in range(300):
                sock = stack.enter_context(socket.create_connection(places[0]))
                sock.sendall(kinds[3])
            assert get(api, "/health")[0] == 200
        with contextlib.ExitStack() as stack:
            answers = Counter[bytes]()
            for _ in range(130):
                sock = stack.enter_context(socket.create_connection(places[0]))
                sock.sendall(b"GET /api/routing/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
                answers[sock.recv(4096)[9:12]] += 1
            assert answers == {b"200": 119, b"503": 11}  # one is the API's own
            assert get(api, "/health")[0] == 200
        lines = [json.loads(line) for line in served.log.splitlines()]
        warned = [line for line in lines if line["level"].lower() in ("warning", "error")]
        print(f"{len(warned)} warnings: {dict(Counter(line.get('event') for line in warned))}")
        assert sum(line.get("event") in ("http_cut", "accept_failed") for line in lines) < 20
        published = [line for line in lines if line.get("event") == "published"]
        assert published[0]["channel"] == "task:routing"
        assert json.loads(published[0]["body"])["type"] == "routing_decision"
        assert {"time", "level", "logger", "message"} <= lines[0].keys()

        # The embedded server is started again, with what it held.
        pid: Any = owner.info("server")
        os.kill(pid["process_id"], signal.SIGKILL)
        until(lambda: get(api, "/health")[1]["redis_restarts"] == 1)
        until(lambda: get(api, "/ready")[0] == 200)
        until(lambda: get(bridge.replace("ws", "http"), "/ready")[0] == 200)
        until(lambda: owner.xlen("{task:routing}:history") == 1)
    events = [json.loads(line).get("event") for line in served.log.splitlines()]
    assert "redis_died" in events
    assert events.count("redis_full") <= 2
    assert "redis_restarted" in events
    with urlopen(api + "/metrics", timeout=10) as answer:
        figures = answer.read().decode()
    for name in ("build_info{", "http_seconds_bucket{", "route_seconds_bucket{",
                 "publisher_seconds_bucket{", "publisher_restored_total "):  # fmt: skip
        assert f"routingsim_{name}" in figures
    assert "process_open_fds " in figures


def test_a_redis_that_is_not_there_yet_is_waited_for(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    port = free_port()
    served = serve(REDIS_HOST="127.0.0.1", REDIS_PORT=str(port))
    redis, bridge, api = served.announced(3)
    assert "no answer yet" in redis
    assert "waiting" in redis
    ready = {
        url: (lambda url=url: get(url, "/ready")) for url in (api, bridge.replace("ws", "http"))
    }
    assert get(api, "/health")[0] == 200
    status, said = ready[api]()
    assert (status, said["bridge"], said["publisher"]) == (503, *["not yet connected"] * 2)
    route(api)  # the API works, and keeps what it could not publish
    server = Server(tmp_path / "redis", port)
    with serving(server):
        until(lambda: all(ask()[0] == 200 for ask in ready.values()))
        until(lambda: server.ask("XLEN", "{task:routing}:history") == 1)
        server.kill()
        until(lambda: all(ask()[0] == 503 for ask in ready.values()))
        until(lambda: ready[api]()[1]["publisher"] == "down")
        assert ready[api]()[1]["bridge"] == "down"
        assert get(api, "/health")[0] == 200


@pytest.mark.parametrize(
    ("words", "environ", "said"),
    [
        (["--no-wait"], {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": "1"}, "no Redis server at"),
        (["--only", "bridge"], {}, "the bridge alone needs the Redis server"),
        ([], {"WEBSOCKET_HOST": "0.0.0.0", "HTTP_HOST": "0.0.0.0"}, "ROUTINGSIM_TOKEN"),
    ],
    ids=["absent", "bridge", "exposed"],
)
def test_what_serve_refuses(
    words: list[str], environ: dict[str, str], said: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [*SERVE, *words], env=os.environ | environ, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2
    [line] = done.stderr.strip().splitlines()
    assert said in line


def test_beyond_loopback_only_names_that_no_site_can_have(
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = Settings(redis_port=0, websocket_host="0.0.0.0", websocket_port=0)

    async def ask(port: int, host: str, origin: str = "") -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        upgrade = (
            f"Origin: {origin}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" if origin else ""
        )
        key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        path = "/" if origin else "/health"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{upgrade}{key}\r\n".encode())
        status = int((await reader.readline()).split()[1])
        writer.close()
        return status

    async def main() -> None:
        with pytest.raises(RoutingSimError, match=r"WEBSOCKET_HOST=0\.0\.0\.0: any machine"):
            async with running(Plan(settings, "bridge")):
                pass
        insecure = msgspec.structs.replace(settings, insecure=True)
        async with running(Plan(insecure, "bridge")) as at:
            assert at.bridge
            port = urlsplit(at.bridge).port
            assert port
            evil = f"evil.example:{port}"
            assert await ask(port, evil) == 403
            assert await ask(port, evil, f"http://{evil}") == 403
            assert await ask(port, f"192.0.2.7:{port}") == 200
            assert await ask(port, f"192.0.2.7:{port}", f"http://192.0.2.7:{port}") == 101
            assert await ask(port, socket.gethostname()) == 200
        token = msgspec.structs.replace(settings, token="secret")
        async with running(Plan(token, "bridge")) as at:
            assert await ask(urlsplit(at.bridge).port or 0, "live.example.org") == 200

    asyncio.run(main())
    assert "event=insecure" in caplog.text
