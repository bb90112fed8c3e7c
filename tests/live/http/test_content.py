"""Documents that stay the same, as ASGI."""

import asyncio
import gzip
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from routingsim.live.http.content import Content

TEXT = b'{"a":"' + b"x" * 1_000 + b'"}'


def ask(content: Content, **headers: str) -> Response:
    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope: Any = {"type": "http", "method": "GET", "path": "/", "headers": given}
    return asyncio.run(content.get(Request(scope)))


def test_plain_packed_and_known() -> None:
    content = Content.json({"a": "x" * 1_000})
    plain = ask(content)
    assert (plain.status_code, plain.body) == (200, TEXT)
    assert (plain.headers["vary"], plain.media_type) == ("Accept-Encoding", "application/json")
    assert "content-encoding" not in plain.headers
    packed = ask(content, accept_encoding="br, gzip;q=0.5")
    assert gzip.decompress(bytes(packed.body)) == TEXT
    assert (packed.headers["content-encoding"], len(packed.body) < 100) == ("gzip", True)
    tag, packed_tag = plain.headers["etag"], packed.headers["etag"]
    assert packed_tag == tag[:-1] + '-gzip"'
    for known in (tag, f'"other", W/{tag}'):
        answer = ask(content, if_none_match=known)
        assert (answer.status_code, answer.body, answer.headers["etag"]) == (304, b"", tag)
    assert ask(content, if_none_match=packed_tag, accept_encoding="gzip").status_code == 304
    assert ask(content, if_none_match=packed_tag).status_code == 200
    assert ask(Content(b"other", "text/plain"), if_none_match=tag).status_code == 200


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", True),
        ("GZIP ; q=1.0", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("gzip;q=0.001", True),
        ("br", False),
        ("", False),
    ],
)
def test_which_coding(coding: str, packed: bool) -> None:
    answer = ask(Content(TEXT, "text/plain"), accept_encoding=coding)
    assert ("content-encoding" in answer.headers) is packed


def test_a_file_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "a.css"
    path.write_text("p {}")
    content = Content.file(path)
    path.write_text("other")
    answer = ask(content)
    assert (answer.body, answer.headers["content-type"]) == (b"p {}", "text/css; charset=utf-8")
