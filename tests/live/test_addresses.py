"""Where a browser finds the bridge and the API."""

import pytest

from routingsim.errors import RoutingSimError
from routingsim.live.addresses import public_addresses

HERE = ("ws://127.0.0.1:3001", "http://127.0.0.1:3000")
HUB = {"JUPYTERHUB_SERVICE_PREFIX": "/user/ada/"}


def test_on_ones_own_machine_they_are_where_we_listen() -> None:
    public = public_addresses(*HERE, environ={})
    assert (public.bridge, public.api) == HERE
    assert public.from_page == ":3001"
    assert public.origins == ()


def test_behind_a_hub_they_are_behind_its_proxy() -> None:
    public = public_addresses(*HERE, environ=HUB)
    assert (public.bridge, public.api) == ("/user/ada/proxy/3001/", "/user/ada/proxy/3000/")
    assert public.from_page == "../3001/"
    assert public.origins == ("*",)  # the hub does not tell its own


def test_a_hub_that_tells_its_address_is_the_only_origin() -> None:
    told = HUB | {"JUPYTERHUB_PUBLIC_URL": "https://hub.example.org/user/ada/"}
    assert public_addresses(*HERE, environ=told).origins == ("https://hub.example.org",)


def test_what_the_owner_says_wins() -> None:
    said = HUB | {
        "ROUTINGSIM_PUBLIC_WS": "wss://live.example.org/ws-{port}",
        "ROUTINGSIM_PUBLIC_HTTP": "https://live.example.org:8443/",
    }
    public = public_addresses(*HERE, environ=said)
    assert public.bridge == public.from_page == "wss://live.example.org/ws-3001"
    assert public.api == "https://live.example.org:8443/"
    assert public.origins == ("https://live.example.org", "https://live.example.org:8443")


def test_the_port_can_be_part_of_the_address() -> None:
    said = {"ROUTINGSIM_PUBLIC_WS": "ws://192.168.1.5:{port}"}
    assert public_addresses(*HERE, environ=said).bridge == "ws://192.168.1.5:3001"


def test_what_does_not_run_has_no_address() -> None:
    assert public_addresses(HERE[0], None, environ=HUB).api is None


@pytest.mark.parametrize(
    "wrong", ["live.example.org", "https://live.example.org", "ws://", "ws://host:port"]
)
def test_a_wrong_address_is_named(wrong: str) -> None:
    with pytest.raises(RoutingSimError, match=r"ROUTINGSIM_PUBLIC_WS.*wss://"):
        public_addresses(*HERE, environ={"ROUTINGSIM_PUBLIC_WS": wrong})
