"""The configurations in docs/operations.md, run as they are written there."""

import asyncio
import contextlib
import json
import os
import random
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from routingsim.live.bridge.protocol import Limits
from routingsim.live.bridge.server import Bridge
from routingsim.live.serve import Plan, running
from routingsim.live.settings import Settings
from routingsim.messages import DECISIONS

pytestmark = pytest.mark.system

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
NAME = "live.example.org"
SUBSCRIBE = json.dumps({"type": "subscribe", "channel": DECISIONS})


def shown(heading: str) -> str:
    """The first block of code after some words of the page."""
    match = re.search(rf"^{heading}.*?```\w*\n(.*?)```", PAGE.read_text("utf-8"), re.M | re.S)
    assert match
    return match[1]


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for the name, and its key."""
    files = folder / "live.pem", folder / "live.key"
    kind = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    name = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    command = [*kind.split(), *name, "-out", str(files[0]), "-keyout", str(files[1])]
    subprocess.run(command, check=True, capture_output=True)
    return files


def nginx(folder: Path, block: str, port: int) -> list[str]:
    pem, key = folder / "live.pem", folder / "live.key"
    for word, ours in {
        "443": f"127.0.0.1:{port}",
        "/etc/ssl/live.pem": str(pem),
        "/etc/ssl/live.key": str(key),
    }.items():
        assert word in block
        block = block.replace(word, ours)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root; " if os.geteuid() == 0 else ""  # pytest's folder is its maker's alone
    whole = f"{user}daemon off; pid {folder}/pid; error_log stderr; events {{}}\n"
    whole += f"http {{ access_log off; {temporary}\n{block} }}\n"
    (folder / "nginx.conf").write_text(whole)
    return ["nginx", "-c", f"{folder}/nginx.conf", "-e", "stderr"]


def caddy(folder: Path, block: str, port: int) -> list[str]:
    first = f"{NAME} {{"
    assert first in block
    block = block.replace(first, f"{first}\n  tls {folder}/live.pem {folder}/live.key")
    whole = f"{{\n admin off\n auto_https disable_redirects\n https_port {port}\n}}\n{block}"
    (folder / "Caddyfile").write_text(whole)
    return ["caddy", "run", "--adapter", "caddyfile", "--config", f"{folder}/Caddyfile"]


def free_port() -> int:
    """A port below those the system hands out: no test beside takes it before its server does."""
    while True:
        port = random.randint(10_000, 29_999)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


@contextlib.asynccontextmanager
async def proxy(command: list[str], folder: Path, port: int) -> AsyncIterator[None]:
    environment = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    process = await asyncio.create_subprocess_exec(*command, env=environment)  # its words are shown
    try:
        async with asyncio.timeout(20):
            while process.returncode is None:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                await asyncio.sleep(0.02)
        assert process.returncode is None, f"{command[0]} does not take the configuration"
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


@pytest.mark.parametrize(("heading", "configure"), [("nginx", nginx), ("Caddy", caddy)])
def test_page_api_and_bridges_through_a_proxy_with_tls(
    tmp_path: Path, heading: str, configure: Callable[[Path, str, int], list[str]]
) -> None:
    if shutil.which(heading.lower()) is None:
        pytest.skip(f"no {heading} on PATH")
    pem, _ = certificate(tmp_path)
    tls = ssl.create_default_context(cafile=pem)
    port = free_port()
    settings = Settings(
        redis_port=free_port(),
        websocket_port=0,
        http_port=0,
        public_ws=f"wss://{NAME}/ws",
        public_http=f"https://{NAME}/",
    )

    def fetch(path: str, body: bytes = b"") -> tuple[int, bytes]:
        """As a browser for which the name resolves to this machine."""
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            tls.wrap_socket(plain, server_hostname=NAME) as secure,
        ):
            head = (
                f"{'POST' if body else 'GET'} {path} HTTP/1.1\r\nHost: {NAME}\r\n"
                f"Origin: https://{NAME}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            secure.sendall(head.encode() + body)
            answer = b"".join(iter(lambda: secure.recv(65_536), b""))
        head, _, rest = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), rest

    async def main() -> None:
        async with running(Plan(settings)) as at:
            assert at.bridge
            assert at.api
            second = Bridge(
                at.redis, port=0, origins=[f"https://{NAME}"], limits=Limits(close_seconds=0.3)
            )
            async with second:
                places = {"3001": at.bridge, "3011": second.url, "3000": at.api}
                block = shown(heading)
                for number, url in places.items():
                    block = block.replace(f"127.0.0.1:{number}", f"127.0.0.1:{urlsplit(url).port}")
                async with proxy(configure(tmp_path, block, port), tmp_path, port):
                    await visit(second)

    async def visit(second: Bridge) -> None:
        status, page = await asyncio.to_thread(fetch, "/")
        assert status == 200
        assert b"<title>routingsim</title>" in page
        status, config = await asyncio.to_thread(fetch, "/api/config")
        assert f'"wss://{NAME}/ws"'.encode() in config

        def client(origin: str) -> connect:
            at = f"wss://{NAME}:{port}/ws"
            return connect(at, host="127.0.0.1", ssl=tls, origin=Origin(origin), proxy=None)

        with pytest.raises(InvalidStatus, match="403"):
            await client("https://elsewhere.example").__aenter__()
        async with client(f"https://{NAME}") as one, client(f"https://{NAME}") as two:
            for ws in (one, two):
                await ws.send(SUBSCRIBE)
                assert json.loads(await ws.recv())["type"] == "subscribed"
            assert second.stats.clients == 1  # the balancer has shared them out
            long = json.dumps({"text": "🙂" * 100_000}).encode()  # the longest that is allowed
            for body in (b'{"text": "Say hello"}', long):
                status, answer = await asyncio.to_thread(fetch, "/api/routing/test", body)
                assert status == 200
                for ws in (one, two):
                    message = json.loads(await ws.recv())
                    assert message["payload"]["taskId"].encode() in answer
            await second.stop()
            for _ in range(4):  # the other one takes over
                async with client(f"https://{NAME}") as again:
                    await again.send(SUBSCRIBE)
                    assert json.loads(await again.recv())["type"] == "subscribed"

    asyncio.run(asyncio.wait_for(main(), 60))


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on PATH")
    program = "/opt/routingsim/bin/routingsim"
    unit = shown("## systemd")
    assert program in unit
    place = tmp_path / "routingsim-bridge@3001.service"
    place.write_text(unit.replace(program, shutil.which("true") or ""))
    checked = subprocess.run(
        ["systemd-analyze", "verify", str(place)], capture_output=True, text=True
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
