"""The floor: a bare Flask view that signs one ES256 token by the library, and nothing else."""

from __future__ import annotations

import base64
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from flask import Flask, Response, jsonify
from joserfc import jwt
from joserfc.jwk import ECKey

from config import Config

app = Flask(__name__)


def _header(certificate: Path) -> dict[str, object]:
    der = x509.load_pem_x509_certificate(certificate.read_bytes()).public_bytes(Encoding.DER)
    return {"typ": "JWT", "alg": "ES256", "kid": "x", "x5c": [base64.b64encode(der).decode()]}


_config = Config.from_environ()
_key = ECKey.import_key(_config.token_key_file.read_bytes())
_head = _header(_config.token_certificate_file)


@app.get("/jwt/auth")
def sign() -> Response:
    """Sign a token of the same size as ours."""
    now = int(time.time())
    claims = {
        "iss": "registry_ui",
        "sub": "user5",
        "aud": "registry",
        "exp": now + 300,
        "nbf": now - 10,
        "iat": now,
        "jti": "0123456789abcdefABCDEF",
        "access": [{"type": "repository", "name": "group5/shop/app", "actions": ["pull", "push"]}],
    }
    token = jwt.encode(_head, claims, _key, algorithms=["ES256"])
    return jsonify(token=token, access_token=token, expires_in=300)
