"""Parser for the Authorization header that accepts both UTF-8 and Latin-1 credentials."""

from __future__ import annotations

import base64
import binascii

from werkzeug.datastructures import Authorization


def read_authorization(header: str | None) -> Authorization | None:
    """Parse an Authorization header; return None if it is missing or malformed.

    RFC 7617 leaves the encoding of Basic credentials open. Most clients send UTF-8; some
    libraries, such as requests, send Latin-1. Bytes that are not UTF-8 are read as Latin-1.
    """
    try:
        authorization = Authorization.from_header(header)
    except ValueError:  # The base64 text contains characters outside ASCII.
        return None
    if authorization is not None or not header:
        return authorization
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(encoded.strip(" \t"), validate=True).decode("latin-1")
    except binascii.Error:
        return None
    username, _, password = text.partition(":")
    return Authorization("basic", {"username": username, "password": password})
