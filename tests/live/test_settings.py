"""Settings: their sources, what is refused, and that passwords are never shown."""

import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.connection import parse_url

from routingsim.errors import RoutingSimError
from routingsim.live.bridge.protocol import Limits
from routingsim.live.http.limits import HttpLimits
from routingsim.live.settings import Settings, checked_url, load_settings, redacted

NO_FILE = "/nonexistent/.env.local"


def test_defaults_embed_a_server_on_loopback() -> None:
    settings = load_settings({}, NO_FILE)
    assert settings == Settings()
    assert not settings.configured
    assert settings.url == "redis://127.0.0.1:6379/0"
    assert settings.websocket_host == settings.http_host == "127.0.0.1"


def test_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / ".env.local"
    file.write_text(
        "\ufeff# the live side\r\n\r\nexport REDIS_HOST = db.example # ours\r\n"
        "REDIS_PORT=7000\r\nREDIS_PASSWORD='a # b'\r\nROUTINGSIM_TOKEN=\"t=1\"\r\n"
        "VITE_SOMETHING=else\r\nHTTP_PORT=\r\n",
        newline="",
    )
    settings = load_settings({"REDIS_PORT": "7001", "WEBSOCKET_PORT": ""}, file)
    assert settings == Settings(
        redis_host="db.example", redis_port=7001, redis_password="a # b", token="t=1"
    )
    assert settings.configured


@pytest.mark.parametrize(
    ("line", "password"),
    [
        ("REDIS_PASSWORD=              # Leave empty for local dev", None),
        ("REDIS_PASSWORD=", None),
        ("REDIS_PASSWORD=''", None),
        ("REDIS_PASSWORD=secret # for the tests", "secret"),
        ("REDIS_PASSWORD=secret#1", "secret#1"),
        ("REDIS_PASSWORD=two words  ", "two words"),
        ("REDIS_PASSWORD='secret # 1' # for the tests", "secret # 1"),
        ('REDIS_PASSWORD="secret # 1"', "secret # 1"),
        (r'REDIS_PASSWORD="a\"b\\c"', 'a"b\\c'),
        ("  export REDIS_PASSWORD = secret", "secret"),
        ("REDIS_PASSWORD=${HOME}$1", "${HOME}$1"),
        ("#REDIS_PASSWORD=secret", None),
        ("REDIS_PASSWORD=old\nREDIS_PASSWORD=new", "new"),
    ],
)
@pytest.mark.parametrize("ending", ["\n", "\r\n", ""])
def test_a_file_has_the_grammar_of_dotenv(
    tmp_path: Path, line: str, password: str | None, ending: str
) -> None:
    file = tmp_path / ".env.local"
    file.write_text(line + ending, newline="")
    assert load_settings({}, file) == Settings(redis_password=password)


def test_the_example_is_the_guides_file_and_names_every_variable(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / ".env.local.example"
    text = example.read_text(encoding="utf-8")
    assert "\nREDIS_PASSWORD=              # Leave empty for local dev\n" in text
    assert load_settings({}, example) == Settings(redis_host="localhost")
    named = set(re.findall(r"^(?:# )?([A-Z_]+)=", text, re.MULTILINE))
    own = ("redis_", "websocket_", "http_")
    fields = [name for name in Settings.__struct_fields__ if not name.endswith("limits")]
    expected = {("" if name.startswith(own) else "ROUTINGSIM_") + name.upper() for name in fields}
    assert expected - named == set()
    whole = tmp_path / "all"  # each comment taken away
    whole.write_text(re.sub("^# ([A-Z_]+=)", r"\1", text, flags=re.MULTILINE), encoding="utf-8")
    settings = load_settings({}, whole)
    assert settings.trusted_proxies == Settings().trusted_proxies
    assert settings.history == Settings().history


def test_every_limit_is_a_setting() -> None:
    limits = {field.name: 3 for field in dataclasses.fields(Limits)}
    said = {f"ROUTINGSIM_{name.upper()}": "3" for name in limits}
    settings = load_settings(said | {"ROUTINGSIM_HISTORY": "50000"}, NO_FILE)
    assert settings.bridge_limits == Limits(**limits | {"history_messages": 50_000})
    assert load_settings({}, NO_FILE).bridge_limits == Limits()
    http = {field.name: 3 for field in dataclasses.fields(HttpLimits)}
    said = {f"ROUTINGSIM_HTTP_{name.upper()}": "3" for name in http}
    assert load_settings(said, NO_FILE) == Settings(http_limits=HttpLimits(**http))
    with pytest.raises(ValueError, match="limit head_seconds is 0: must be above 0"):
        HttpLimits(head_seconds=0)


@pytest.mark.parametrize(
    ("text", "proxies"),
    [
        ("10.0.0.0/8, 192.0.2.1,", ("10.0.0.0/8", "192.0.2.1")),
        ("fd00::/8", ("fd00::/8",)),
        ("none", ()),
        ("", ("127.0.0.0/8", "::1")),
    ],
)
def test_trusted_proxies_are_networks(text: str, proxies: tuple[str, ...]) -> None:
    assert load_settings({"ROUTINGSIM_TRUSTED_PROXIES": text}, NO_FILE).trusted_proxies == proxies


def test_the_environment_is_no_file() -> None:
    with pytest.raises(RoutingSimError) as caught:
        load_settings(".env")  # type: ignore[arg-type]
    assert str(caught.value) == (
        "load_settings(environ='.env'): the environment must be a mapping of names to values; "
        "name a file with load_settings(file=...)"
    )


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("REDIS_PORT", "0", "from 1 to 65535"),
        ("REDIS_PORT", "abc", "from 1 to 65535"),
        ("WEBSOCKET_PORT", "65536", "from 0"),
        ("HTTP_PORT", "3000.5", "from 0"),
        ("REDIS_HOST", "http://db", "without scheme"),
        ("REDIS_URL", "http://db", "rediss://"),
        ("REDIS_URL", "redis://db:port", "rediss://"),
        ("REDIS_URL", "unix://", "unix:///path"),
        ("REDIS_CA_FILE", "/nonexistent/ca.pem", "file that exists"),
        ("ROUTINGSIM_HISTORY", "0", "from 1"),
        ("ROUTINGSIM_BUFFER", "1", "2 or more"),
        ("ROUTINGSIM_CONNECTIONS", "0", "a whole number above 0"),
        ("ROUTINGSIM_CONNECTIONS", "1.5", "a whole number above 0"),
        ("ROUTINGSIM_STALL_SECONDS", "inf", "a number above 0"),
        ("ROUTINGSIM_STALL_SECONDS", "soon", "a number above 0"),
        ("ROUTINGSIM_HTTP_CONNECTIONS", "many", "a whole number above 0"),
        ("ROUTINGSIM_TRUSTED_PROXIES", "10.0.0.1/8", "networks such as 10.0.0.0/8"),
        ("ROUTINGSIM_TRUSTED_PROXIES", "nginx", "networks such as 10.0.0.0/8"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(
    tmp_path: Path, name: str, value: str, allowed: str
) -> None:
    file = tmp_path / ".env.local"
    file.write_text(f"# comment\n\n{name}={value}\n")
    for environ, path, place in (({}, file, f"{file}:3"), ({name: value}, NO_FILE, "environment")):
        with pytest.raises(RoutingSimError) as caught:
            load_settings(environ, path)
        message = str(caught.value)
        assert message.startswith(f"{name} ({place}): found {value!r}, allowed is ")
        assert allowed in message


@pytest.mark.parametrize("line", ["hunter2 hunter2", "hunter2", "A='hunter2", 'A="hunter2" b'])
def test_a_line_that_is_no_setting_is_named_but_not_shown(tmp_path: Path, line: str) -> None:
    file = tmp_path / ".env.local"
    file.write_text(f"REDIS_HOST=db\n\n{line}\n")
    with pytest.raises(RoutingSimError) as caught:
        load_settings({}, file)
    assert str(caught.value) == f"{file}:3: allowed is NAME=value, or # and a comment"


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / ".env.local"
    file.write_bytes(b"REDIS_HOST=\xff\n")
    with pytest.raises(RoutingSimError, match="UTF-8"):
        load_settings({}, file)


def test_a_ca_file_makes_the_connection_tls(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.touch()
    settings = load_settings({"REDIS_HOST": "db", "REDIS_CA_FILE": str(ca)}, NO_FILE)
    options = parse_url(settings.url)
    assert settings.url.startswith("rediss://db:6379/0?")
    assert options["ssl_ca_certs"] == str(ca)
    with pytest.raises(RoutingSimError, match=r"REDIS_CA_FILE .* write rediss://"):
        load_settings({"REDIS_URL": "redis://db", "REDIS_CA_FILE": str(ca)}, NO_FILE)


def test_what_browsers_are_to_reach(tmp_path: Path) -> None:
    pem = tmp_path / "both.pem"
    pem.touch()
    said = {
        "ROUTINGSIM_TLS_CERT": str(pem),
        "ROUTINGSIM_ORIGINS": "https://Hub.example.org/, http://localhost:8888,",
        "ROUTINGSIM_PUBLIC_WS": "wss://example.org/ws-{port}",
        "ROUTINGSIM_PUBLIC_HTTP": "https://example.org:8443/",
    }
    settings = load_settings(said, NO_FILE)
    assert settings.tls_cert == str(pem)
    assert settings.origins == ("https://hub.example.org", "http://localhost:8888")
    assert settings.public_ws == "wss://example.org/ws-{port}"
    assert settings.public_http == "https://example.org:8443/"
    assert load_settings({"ROUTINGSIM_ORIGINS": "*"}, NO_FILE).origins == ("*",)
    with pytest.raises(RoutingSimError, match="needs ROUTINGSIM_TLS_CERT"):
        load_settings({"ROUTINGSIM_TLS_KEY": str(pem)}, NO_FILE)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ROUTINGSIM_TLS_CERT", "/no/such.pem"),
        ("ROUTINGSIM_ORIGINS", "hub.example.org"),
        ("ROUTINGSIM_ORIGINS", "https://hub.example.org/path"),
        ("ROUTINGSIM_ORIGINS", "https://hub.example.org:port"),
        ("ROUTINGSIM_PUBLIC_WS", "https://example.org"),
        ("ROUTINGSIM_ORIGINS", "https://"),
        ("ROUTINGSIM_ORIGINS", "https://ada@hub.example.org"),
        ("ROUTINGSIM_ORIGINS", "https://hub.example.org, ws://hub.example.org"),
        ("ROUTINGSIM_PUBLIC_WS", "ws://host:{port}port"),
        ("ROUTINGSIM_PUBLIC_WS", "ws://:3001"),
        ("ROUTINGSIM_PUBLIC_HTTP", "example.org"),
    ],
)
def test_what_no_browser_could_reach_is_refused(name: str, value: str) -> None:
    with pytest.raises(RoutingSimError, match=rf"^{name} \(environment\): found .*, allowed is "):
        load_settings({name: value}, NO_FILE)


def test_user_and_password_complete_a_url_that_has_none() -> None:
    login = {"REDIS_USERNAME": "ada", "REDIS_PASSWORD": "p@ss/w:rd?"}
    bare = parse_url(load_settings({"REDIS_URL": "redis://db:7/3"} | login, NO_FILE).url)
    assert bare == {
        "username": "ada", "password": "p@ss/w:rd?", "host": "db", "port": 7, "db": 3
    }  # fmt: skip
    own = load_settings({"REDIS_URL": "redis://bob:own@db/0"} | login, NO_FILE)
    assert own.url == "redis://bob:own@db/0"
    socket = parse_url(load_settings({"REDIS_URL": "unix:///run/redis.sock"} | login, NO_FILE).url)
    assert (socket["path"], socket["password"]) == ("/run/redis.sock", "p@ss/w:rd?")


def test_an_ipv6_address_is_bracketed() -> None:
    assert Settings(redis_host="::1").url == "redis://[::1]:6379/0"


@pytest.mark.slow
@given(password=st.text(st.characters(codec="utf-8"), min_size=1))
def test_any_password_reaches_the_client_and_is_never_shown(password: str) -> None:
    settings = Settings(redis_host="db", redis_username="ada", redis_password=password)
    assert parse_url(settings.url)["password"] == password
    assert redacted(settings.url) == "redis://ada:***@db:6379/0"


@given(password=st.text(st.characters(codec="utf-8", exclude_characters="\n"), min_size=1))
def test_a_password_pasted_as_it_is_into_a_url_is_not_shown(password: str) -> None:
    marked = f"MARK{password}MARK"
    shown = redacted(f"redis://:{marked}@db:6379/0")
    assert shown == "redis://:***@db:6379/0"


def test_repr_and_errors_show_no_secret(tmp_path: Path) -> None:
    settings = Settings(
        redis_url="rediss://ada:hunter2@db/0?password=hunter2&ssl_password=hunter2",
        redis_password="hunter2",
        token="hunter2",
    )
    assert "hunter2" not in repr(settings) + str(settings)
    assert "token='***'" in repr(settings)
    assert "token=None" in repr(Settings())
    for url in ("redis://:hunter2@db:x", "http://:hunter2@db", "redis://:hun/hunter2@db"):
        with pytest.raises(RoutingSimError) as caught:
            load_settings({"REDIS_URL": url}, NO_FILE)
        assert "hunter2" not in str(caught.value)
        assert caught.value.__suppress_context__


@pytest.mark.parametrize("url", ["redis://db", "rediscluster://a:1", "unix:///x", "rediss://[::1]"])
def test_every_kind_of_redis_url_is_accepted(url: str) -> None:
    assert checked_url(url) == url


def test_exploring_is_a_probability() -> None:
    assert load_settings({"ROUTINGSIM_EXPLORE": "0.05"}, NO_FILE).explore == 0.05
    assert load_settings({"ROUTINGSIM_EXPLORE": "0"}, NO_FILE).explore == 0.0
    assert load_settings({"ROUTINGSIM_EXPLORE": ""}, NO_FILE).explore is None
    for wrong in ("1.5", "-0.1", "often"):
        with pytest.raises(RoutingSimError) as caught:
            load_settings({"ROUTINGSIM_EXPLORE": wrong}, NO_FILE)
        assert str(caught.value) == (
            f"ROUTINGSIM_EXPLORE (environment): found {wrong!r}, allowed is a probability from 0 "
            "to 1"
        )
