"""Content that stays the same while the server runs: encoded, compressed and tagged once."""

import gzip
import hashlib
import mimetypes
from pathlib import Path
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response


class Content:
    """A document of fixed bytes, as it is and with gzip, each with its own ``ETag``."""

    def __init__(self, body: bytes, media_type: str) -> None:
        self._media_type = media_type
        packed = gzip.compress(body, mtime=0)
        tag = hashlib.blake2b(body, digest_size=12).hexdigest()
        vary = {"Vary": "Accept-Encoding"}
        self._plain = body, vary | {"ETag": f'"{tag}"'}
        self._packed = packed, vary | {"ETag": f'"{tag}-gzip"', "Content-Encoding": "gzip"}

    @classmethod
    def json(cls, document: Any) -> "Content":
        """A document in JSON."""
        return cls(msgspec.json.encode(document), "application/json")

    @classmethod
    def file(cls, path: Path) -> "Content":
        """What a file holds now."""
        return cls(path.read_bytes(), mimetypes.guess_type(path)[0] or "application/octet-stream")

    async def get(self, request: Request) -> Response:
        """Answer a request, with 304 where the client has the content already."""
        body, headers = self._packed if _takes_gzip(request) else self._plain
        known = request.headers.get("if-none-match", "").replace("W/", "").split(",")
        if headers["ETag"] in map(str.strip, known):
            return Response(status_code=304, headers=headers)
        return Response(body, headers=headers, media_type=self._media_type)


def _takes_gzip(request: Request) -> bool:
    for coding in request.headers.get("accept-encoding", "").lower().split(","):
        name, _, weight = coding.replace(" ", "").partition(";q=")
        if name == "gzip":
            return weight.strip("0.") != "" or not weight
    return False
