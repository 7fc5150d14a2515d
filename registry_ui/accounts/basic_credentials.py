"""Reads the credentials of a request, whichever of two encodings a client uses for them."""

from __future__ import annotations

import base64
import binascii

from werkzeug.datastructures import Authorization


def read_authorization(header: str | None) -> Authorization | None:
    """Return what an Authorization header says; None for one that can't be read.

    RFC 7617 leaves the encoding of Basic credentials open. Today's clients send UTF-8; some
    libraries, such as requests, send Latin-1. Bytes that are no UTF-8 are read as that.
    """
    try:
        given = Authorization.from_header(header)
    except ValueError:  # the base64 of Basic credentials has bytes outside ASCII
        return None
    if given is not None or not header:
        return given
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(encoded.strip(" \t"), validate=True).decode("latin-1")
    except binascii.Error:
        return None
    username, _, password = text.partition(":")
    return Authorization("basic", {"username": username, "password": password})
