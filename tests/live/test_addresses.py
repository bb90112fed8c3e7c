"""Where a browser finds the bridge and the API."""

from typing import Any

from routingsim.live.addresses import Addresses, Public, public_addresses
from routingsim.live.settings import Settings

WS, HTTP = "ws://127.0.0.1:3001", "http://127.0.0.1:3000"
HUB = {"JUPYTERHUB_SERVICE_PREFIX": "/user/ada/"}


def addresses(environ: dict[str, str] | None = None, **said: Any) -> Public:
    return public_addresses(Settings(**said), WS, HTTP, environ=environ or {})


def test_on_ones_own_machine_they_are_where_we_listen() -> None:
    public = addresses()
    assert (public.bridge, public.api) == (WS, HTTP)
    assert public.from_page == ":3001"
    assert public.origins == ()
    assert not public.by_host


def test_behind_a_hub_they_are_behind_its_proxy() -> None:
    public = addresses(HUB)
    assert (public.bridge, public.api) == ("/user/ada/proxy/3001/", "/user/ada/proxy/3000/")
    assert public.from_page == "../3001/"
    assert public.origins == ()
    assert public.by_host  # the hub does not tell its own name, but its pages ask for it


def test_a_hub_that_tells_its_address_is_an_origin() -> None:
    public = addresses(HUB | {"JUPYTERHUB_PUBLIC_URL": "https://hub.example.org/user/ada/"})
    assert public.origins == ("https://hub.example.org",)


def test_what_the_owner_says_wins() -> None:
    public = addresses(
        HUB,
        public_ws="wss://live.example.org/ws-{port}",
        public_http="https://live.example.org:8443/",
        origins=("https://other.example.org", "https://live.example.org"),
    )
    assert public.bridge == public.from_page == "wss://live.example.org/ws-3001"
    assert public.api == "https://live.example.org:8443/"
    assert public.origins == (
        "https://other.example.org",
        "https://live.example.org",
        "https://live.example.org:8443",
    )


def test_the_port_can_be_part_of_the_address() -> None:
    assert addresses(public_ws="ws://192.168.1.5:{port}").bridge == "ws://192.168.1.5:3001"


def test_what_does_not_run_has_no_address() -> None:
    assert public_addresses(Settings(), WS, None, environ=HUB).api is None


def test_in_words_and_for_a_machine() -> None:
    redis = "redis://ada:secret@127.0.0.1:6379/0"
    found = Addresses(redis, redis, "embedded Valkey 9 at …", WS, None, "redis-cli -p 6379")
    assert str(found).split("\n") == [
        "Redis      embedded Valkey 9 at …",
        f"WebSocket  {WS}",
        "           redis-cli -p 6379",
    ]
    assert found.to_dict() == {
        "redis": "redis://ada:***@127.0.0.1:6379/0",
        "websocket": WS,
        "api": None,
        "login": "redis-cli -p 6379",
    }
