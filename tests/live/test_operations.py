"""The files of deploy/, run as they are where their programs are here."""

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
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from routingsim.live.bridge.protocol import Limits
from routingsim.live.bridge.server import Bridge
from routingsim.live.serve import Plan, running
from routingsim.live.settings import Settings
from routingsim.messages import DECISIONS

pytestmark = pytest.mark.system

DEPLOY = Path(__file__).parents[2] / "deploy"
NAME = "live.example.org"
SUBSCRIBE = json.dumps({"type": "subscribe", "channel": DECISIONS})


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for the name, and its key."""
    files = folder / "live.pem", folder / "live.key"
    kind = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    name = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    command = [*kind.split(), *name, "-out", str(files[0]), "-keyout", str(files[1])]
    subprocess.run(command, check=True, capture_output=True)
    return files


def replaced(text: str, words: dict[str, str]) -> str:
    """The text with words of it replaced, each of which must be there."""
    for word, ours in words.items():
        assert word in text, word
        text = text.replace(word, ours)
    return text


def nginx(folder: Path, block: str, port: int) -> list[str]:
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    words = {"http {": f"http {{ access_log off; {temporary}"}
    if "ssl" in block:
        words |= {
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "/etc/ssl/live.pem": str(folder / "live.pem"),
            "/etc/ssl/live.key": str(folder / "live.key"),
        }
    else:
        words["listen 8080"] = f"listen 127.0.0.1:{port}"
    user = "user root; " if os.geteuid() == 0 else ""  # pytest's folder is its maker's alone
    head = f"{user}daemon off; pid {folder}/pid; error_log stderr;\n"
    (folder / "nginx.conf").write_text(head + replaced(block, words))
    return ["nginx", "-c", f"{folder}/nginx.conf", "-e", "stderr"]


def caddy(folder: Path, block: str, port: int) -> list[str]:
    first = f"{NAME} {{"
    block = replaced(block, {first: f"{first}\n  tls {folder}/live.pem {folder}/live.key"})
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


@pytest.mark.parametrize(("file", "configure"), [("nginx.conf", nginx), ("Caddyfile", caddy)])
def test_page_api_and_bridges_through_a_proxy_with_tls(
    tmp_path: Path, file: str, configure: Callable[[Path, str, int], list[str]]
) -> None:
    if shutil.which(configure.__name__) is None:
        pytest.skip(f"no {configure.__name__} on PATH")
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
                ports = {
                    f"127.0.0.1:{number}": f"127.0.0.1:{urlsplit(url).port}"
                    for number, url in places.items()
                }
                block = replaced((DEPLOY / file).read_text("utf-8"), ports)
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


@pytest.mark.parametrize("file", ["nginx.conf", "nginx-compose.conf"])
def test_six_hundred_clients_through_nginx(tmp_path: Path, file: str) -> None:
    if shutil.which("nginx") is None:
        pytest.skip("no nginx on PATH")
    certificate(tmp_path)
    with_tls = file == "nginx.conf"
    tls = ssl.create_default_context(cafile=tmp_path / "live.pem") if with_tls else None
    port = free_port()
    settings = Settings(
        redis_port=free_port(),
        websocket_port=0,
        trusted_proxies=("127.0.0.1",),
        limits=Limits(connections_per_address=20),
    )

    async def main() -> None:
        async with running(Plan(settings, "bridge")) as at:
            assert at.bridge
            place = f"127.0.0.1:{urlsplit(at.bridge).port}"
            words = {"127.0.0.1:3001": place, "127.0.0.1:3011": place}
            if not with_tls:
                words = {"bridge-1:3001": place, "bridge-2:3001": place, "api:3000": place}
            block = replaced((DEPLOY / file).read_text("utf-8"), words)
            async with (
                proxy(nginx(tmp_path, block, port), tmp_path, port),
                contextlib.AsyncExitStack() as stack,
            ):

                async def client(source: str) -> Any:
                    return await stack.enter_async_context(
                        connect(
                            f"wss://{NAME}:{port}/ws" if tls else f"ws://127.0.0.1:{port}/ws",
                            host="127.0.0.1",
                            ssl=tls,
                            proxy=None,
                            local_addr=(source, 0),
                        )
                    )

                sockets = []
                for group in range(30):  # of addresses that are not the proxy's
                    sources = [f"127.0.1.{group + 1}"] * 20
                    sockets += await asyncio.gather(*map(client, sources))
                for ws in sockets:
                    await ws.send(SUBSCRIBE)
                for ws in sockets:
                    assert json.loads(await ws.recv())["type"] == "subscribed"
                assert len(sockets) == 600
                with pytest.raises(InvalidStatus, match="429"):
                    await client("127.0.1.1")

    asyncio.run(asyncio.wait_for(main(), 120))


@pytest.mark.parametrize("name", ["routingsim-bridge@.service", "routingsim-api.service"])
def test_systemd_takes_the_unit_and_finds_it_hardened(tmp_path: Path, name: str) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on PATH")
    unit = (DEPLOY / name).read_text("utf-8")
    place = tmp_path / name.replace("@.", "@3001.")
    program = shutil.which("true") or ""
    place.write_text(replaced(unit, {"/opt/routingsim/bin/routingsim": program}))

    def analyze(*arguments: str) -> str:
        command = ["systemd-analyze", *arguments, str(place)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    assert analyze("verify") == ""
    level = re.search(r"exposure level .*: ([\d.]+)", analyze("security", "--offline=true"))
    assert level
    assert float(level[1]) < 3


def test_the_images_and_manifests_name_the_same_settings() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
    parts = {name: each for name, each in compose["services"].items() if "build" in each}
    assert sorted(parts) == ["api", "bridge-1", "bridge-2"]
    known = {"HEALTH_PORT", *(variable(name) for name in Settings.__struct_fields__)}
    for part in parts.values():
        assert set(part["environment"]) <= known
        assert "ROUTINGSIM_TOKEN" in part["environment"]
        assert (part["read_only"], part["cap_drop"]) == (True, ["ALL"])
    manifests = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text("utf-8")))
    deployments = [each for each in manifests if each["kind"] in ("Deployment", "StatefulSet")]
    assert [each["metadata"]["name"] for each in deployments] == ["redis", "bridge", "api"]
    for each in deployments:
        (container,) = each["spec"]["template"]["spec"]["containers"]
        assert {"livenessProbe", "readinessProbe", "resources"} <= set(container)
        assert container["securityContext"]["readOnlyRootFilesystem"]
        names = {entry["name"] for entry in container.get("env", [])}
        assert names <= known
    assert set(manifests[0]["data"]) <= known
    copied = re.findall(r"^COPY (?!--)(.*) \S+$", (DEPLOY / "Dockerfile").read_text("utf-8"), re.M)
    for path in " ".join(copied).split():
        assert (DEPLOY.parent / path).exists()


def test_linters_take_the_image_and_the_manifests() -> None:
    for manifest in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text("utf-8")):
        kubernetes_validate.validate(manifest, "1.37", strict=True)
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(manifest | {"specs": {}}, "1.37", strict=True)
    hadolint = Path(sys.executable).with_name("hadolint")
    if sys.platform != "linux":
        pytest.skip("hadolint comes with the extra dev on Linux only")
    command = [hadolint, DEPLOY / "Dockerfile"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def variable(field: str) -> str:
    own = field.startswith(("redis_", "websocket_", "http_"))
    return ("" if own else "ROUTINGSIM_") + field.upper()
