"""Static files and pages go out compressed, where that gives no secret away.

Lengths of compressed answers can betray a secret beside what an attacker chose (BREACH). So
a page that shows one, and the answer to a form, is left as it is. What a page holds otherwise
is a form token, which is signed anew every second, and no other site gets at a page in
numbers: its cookie is SameSite, and its window is cut off from who opened it
(Cross-Origin-Opener-Policy).
"""

from __future__ import annotations

import gzip
from functools import lru_cache

from flask import Flask, Response, g, request

#: Below, the headers of a packet weigh more than what is saved.
LEAST = 1024
TEXT = frozenset({"text/html", "text/css", "text/javascript", "image/svg+xml"})
#: A page is packed for every request, a file once.
PAGE_LEVEL, FILE_LEVEL = 5, 9


def init_app(app: Flask) -> None:
    """Compress what may be, for clients that take it."""

    @app.after_request
    def compress(response: Response) -> Response:
        if request.method != "GET" or response.status_code != 200 or response.mimetype not in TEXT:
            return response
        if g.get("is_secret_shown"):
            return response
        response.vary.add("Accept-Encoding")
        if not request.accept_encodings["gzip"] or (response.content_length or LEAST) < LEAST:
            return response
        response.direct_passthrough = False
        content = response.get_data()
        if request.endpoint == "static":
            packed = _packed_file(content)
            # The same content in other bytes: a strong name would be for one of the two.
            etag, _weak = response.get_etag()
            response.set_etag(etag or "", weak=True)
            response.headers.pop("Accept-Ranges", None)
        else:
            packed = gzip.compress(content, PAGE_LEVEL, mtime=0)
        response.set_data(packed)
        response.content_encoding = "gzip"
        return response


@lru_cache(maxsize=32)
def _packed_file(content: bytes) -> bytes:
    return gzip.compress(content, FILE_LEVEL, mtime=0)
