"""TLS of broker and serve: to a Redis server that has it, and to clients of bridge and API."""

import asyncio
import contextlib
import json
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import connect as open_client

from routingsim.errors import BrokerError, RoutingSimError
from routingsim.live.bridge.protocol import Limits
from routingsim.live.bridge.server import Bridge
from routingsim.live.broker import Broker, connect
from routingsim.live.publisher.redis import RedisPublisher
from routingsim.live.serve import Plan, running
from routingsim.live.settings import Settings
from routingsim.messages import DECISIONS, AgentStatus

pytestmark = pytest.mark.system

LIMITS = Limits(close_seconds=0.3)
PASSWORD = "hunter2"


def make_certificate(folder: Path, name: str) -> Path:
    """A certificate for localhost that signs itself; its key lies beside it."""
    kind = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    names = ["-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.crt")]
    subprocess.run([*kind.split(), *names, *files], check=True, capture_output=True)
    return folder / f"{name}.crt"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"), "server")


@pytest.fixture(scope="module")
def server(certificate: Path, servers: dict[str, Any]) -> Iterator[Broker]:
    """A Redis server that also speaks TLS, on the port after its plain one."""
    config: dict[str, str | int] = {
        "tls-cert-file": f'"{certificate}"',
        "tls-key-file": f'"{certificate.with_suffix(".key")}"',
        "tls-auth-clients": "no",
    }
    settings = Settings(redis_port=0, redis_password=PASSWORD)
    for name in servers.keys() - {"embedded"}:
        with (
            contextlib.suppress(RuntimeError),  # built without TLS
            servers[name](settings, config=config) as server,
        ):
            yield server
            return
    pytest.skip("no redis-server or valkey-server with TLS on PATH; the embedded one has none")


@pytest.fixture(scope="module")
def secure_port(server: Broker) -> int:
    plain = urlsplit(server.url).port
    assert plain
    with contextlib.closing(connect(server.url)) as client:
        for port in range(plain + 1, plain + 50):
            with contextlib.suppress(Exception):  # taken
                client.config_set("tls-port", port)
                return port
    pytest.fail("no free port for TLS")


def secure(port: int, ca: Path | None) -> Settings:
    return Settings(
        redis_url=f"rediss://localhost:{port}",
        redis_password=PASSWORD,
        redis_ca_file=None if ca is None else str(ca),
    )


def test_from_publisher_to_bridge_through_rediss(secure_port: int, certificate: Path) -> None:
    settings = secure(secure_port, certificate)

    async def main() -> None:
        with Broker(settings) as broker, RedisPublisher(settings) as publisher:
            async with (
                Bridge(broker.url, port=0, limits=LIMITS) as bridge,
                open_client(bridge.url, compression=None) as ws,
            ):
                await ws.send(json.dumps({"type": "subscribe", "channel": "agent:status"}))
                await ws.recv()
                for number in range(1_000):
                    publisher.publish_agent_status(AgentStatus("a", "A", "busy", 0.5, number))
                got = [json.loads(await ws.recv())["payload"]["timestamp"] for _ in range(1_000)]
                assert got == list(range(1_000))

    asyncio.run(asyncio.wait_for(main(), 30))


def test_a_server_whom_nobody_vouches_for_gets_no_password(
    secure_port: int, tmp_path: Path
) -> None:
    other = make_certificate(tmp_path, "other")
    for ca in (None, other):
        with pytest.raises(BrokerError, match="certificate") as caught:
            Broker(secure(secure_port, ca)).start()
        assert PASSWORD not in str(caught.value)

    async def main() -> None:
        url = secure(secure_port, other).url
        async with Bridge(url, port=0, limits=LIMITS) as bridge:
            assert not bridge.stats.upstream
            assert "certificate" in bridge.stats.reason.lower()

    asyncio.run(asyncio.wait_for(main(), 30))


def test_bridge_and_api_serve_tls(certificate: Path) -> None:
    trust = ssl.create_default_context(cafile=str(certificate))
    settings = Settings(
        redis_port=0,
        websocket_port=0,
        http_port=0,
        tls_cert=str(certificate),
        tls_key=str(certificate.with_suffix(".key")),
    )

    def config(url: str) -> dict[str, object]:
        with urllib.request.urlopen(f"{url}/api/config", context=trust) as answer:
            return json.load(answer)["config"]

    async def main() -> None:
        async with running(Plan(settings)) as addresses:
            assert addresses.bridge
            assert addresses.api
            assert addresses.bridge.startswith("wss://")
            assert addresses.api.startswith("https://")
            page = {"origin": addresses.api, "ssl": trust, "compression": None}
            async with open_client(addresses.bridge, **page) as ws:
                await ws.send(json.dumps({"type": "subscribe", "channel": DECISIONS}))
                assert json.loads(await ws.recv())["type"] == "subscribed"
            told = await asyncio.to_thread(config, addresses.api)
            assert told["websocket"] == f":{urlsplit(addresses.bridge).port}"

    asyncio.run(asyncio.wait_for(main(), 30))


def test_files_that_are_no_certificate_are_named(certificate: Path, tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("hello")
    wrong_key = make_certificate(tmp_path, "other").with_suffix(".key")

    async def start(cert: Path, key: Path) -> None:
        settings = Settings(redis_port=0, tls_cert=str(cert), tls_key=str(key))
        async with running(Plan(settings, only="bridge")):
            pytest.fail("it must not start")

    for cert, key in ((nonsense, wrong_key), (certificate, wrong_key)):
        with pytest.raises(RoutingSimError, match=r"\.pem|\.crt") as caught:
            asyncio.run(start(cert, key))
        assert "ROUTINGSIM_TLS_CERT" in str(caught.value)
