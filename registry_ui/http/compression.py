"""Gzip compression of pages and static files, except for responses that could leak a secret.

The length of a compressed response can reveal a secret if the response also contains text that
an attacker chose (BREACH attack). So pages that show a secret, and responses to forms, are not
compressed. The only secret in the remaining pages is the CSRF token, whose signature changes every
second. Besides, a foreign site can't make a browser request many pages with the user's session: the
cookie is SameSite, and Cross-Origin-Opener-Policy separates a window from the page that opened it.
"""

from __future__ import annotations

import gzip
from functools import lru_cache

from flask import Flask, Response, g, request

#: Minimum size in bytes of a response to compress. For smaller ones, the savings are negligible.
MIN_SIZE = 1024
TEXT_TYPES = frozenset({"text/html", "text/css", "text/javascript", "image/svg+xml"})
#: Gzip levels of pages, which are compressed for each request, and of files, compressed once.
PAGE_LEVEL, FILE_LEVEL = 5, 9


def init_app(app: Flask) -> None:
    """Compress pages and static files without secrets for clients that accept gzip."""

    @app.after_request
    def compress(response: Response) -> Response:
        if (
            request.method != "GET"
            or response.status_code != 200
            or response.mimetype not in TEXT_TYPES
        ):
            return response
        if g.get("is_secret_shown"):
            return response
        response.vary.add("Accept-Encoding")
        if not request.accept_encodings["gzip"] or (response.content_length or MIN_SIZE) < MIN_SIZE:
            return response
        response.direct_passthrough = False
        content = response.get_data()
        if request.endpoint == "static":
            compressed_content = _compress_file(content)
            # The ETag must be weak, because the plain and the compressed response share it
            # although their bytes differ.
            etag, _weak = response.get_etag()
            response.set_etag(etag or "", weak=True)
            response.headers.pop("Accept-Ranges", None)
        else:
            compressed_content = gzip.compress(content, PAGE_LEVEL, mtime=0)
        response.set_data(compressed_content)
        response.content_encoding = "gzip"
        return response


@lru_cache(maxsize=32)
def _compress_file(content: bytes) -> bytes:
    return gzip.compress(content, FILE_LEVEL, mtime=0)
