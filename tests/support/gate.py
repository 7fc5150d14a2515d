"""Single requests to a proxy that asks the gate, and addresses that try to get past it."""

from __future__ import annotations

import socket

import requests

from registry_ui.demo.push import ACCEPT

from .live import signer_of

TRICKS = [
    "/v2/{0}//manifests/v1",
    "/v2//{0}/manifests/v1",
    "//v2/{0}/manifests/v1",
    "/v2/{0}/../web/manifests/v1",
    "/v2/{0}/%2e%2e/web/manifests/v1",
    "/v2/{0}/blobs/uploads/../../manifests/v1",
    "/v2/{0}/blobs/uploads/..%2f..%2fmanifests/v1",
    "/v2/{0}/./manifests/v1",
    "/v2/{0}/manifests/v1/",
    "/v2/{0}/manifests//v1",
    "/v2/{0}/manifests/%761",
    "/v2/{0}/%6danifests/v1",
    "/v2/{1}/manifests/v1",
    "/v2/{0}/manifests/v1?x=/blobs/uploads/1",
    "/v2/{0}/manifests/v1?/v2/a/blobs/uploads/1",
    "/v2/{0}/manifests/v1#/blobs/uploads/1",
    "/V2/{0}/manifests/v1",
    "/v2/{0}/Manifests/v1",
    "/v2/{0}/manifests/v1%00",
    "/v2/{0}/manifests/v1%0a",
    "/v2/{0}/manifests/v1;x",
    "/%76%32/{0}/manifests/v1",
    "http://localhost/v2/{0}/manifests/v1",
]


class Direct:
    """Sends single requests to the gate's nginx, with bearer tokens of its own making."""

    def __init__(self, gated, subject, repository):
        self.gated, self.subject, self.repository = gated, subject, repository
        self.session = requests.Session()
        self.session.trust_env = False
        self.base = f"http://localhost:{gated.config.registry_port}"

    def token(self, repository=""):
        actions = ["pull", "push", "delete"]
        access = {"type": "repository", "name": repository or self.repository, "actions": actions}
        return signer_of(self.gated.config).sign(self.subject, [access]).token

    def send(self, method, path, body=None, token=None, **headers):
        headers = {"Authorization": f"Bearer {token or self.token()}", **headers}
        return self.session.request(
            method, self.base + path, data=body, headers=headers, timeout=60, allow_redirects=False
        )

    def said(self, answer):
        """The status and the first message of an answer of the registry's form."""
        found = answer.json()["errors"] if answer.text else [{"message": ""}]
        return answer.status_code, found[0]["message"]

    def put(self, tag, image, **headers):
        path = f"/v2/{self.repository}/manifests/{tag}"
        headers = {"Content-Type": image.media_type, **headers}
        return self.send("PUT", path, image.data, **headers)

    def delete(self, reference):
        return self.said(self.send("DELETE", f"/v2/{self.repository}/manifests/{reference}"))

    def head(self, tag):
        accept = {"Accept": ACCEPT}
        answer = self.send("HEAD", f"/v2/{self.repository}/manifests/{tag}", **accept)
        return answer.headers.get("Docker-Content-Digest")


def raw(port, method, target, token, image):
    """Send a request line as it stands; return the status."""
    head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
    head += f"Content-Type: {image.media_type}\r\nContent-Length: {len(image.data)}\r\n"
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        connection.sendall(head.encode() + b"Connection: close\r\n\r\n" + image.data)
        answer = b""
        while chunk := connection.recv(4096):
            answer += chunk
    return int(answer.split(b" ", 2)[1])


class Held:
    """A push of a manifest of which only the head and the first byte were sent."""

    def __init__(self, port, direct, tag, image, *, token=None, chunked=False):
        self.rest, self.chunked = image.data[1:], chunked
        head = f"PUT /v2/{direct.repository}/manifests/{tag} HTTP/1.1\r\nHost: localhost:{port}\r\n"
        head += f"Authorization: Bearer {token or direct.token()}\r\nConnection: close\r\n"
        head += f"Content-Type: {image.media_type}\r\n"
        length = f"Content-Length: {len(image.data)}"
        head += ("Transfer-Encoding: chunked" if chunked else length) + "\r\n\r\n"
        self.connection = socket.create_connection(("127.0.0.1", port), 60)
        self.connection.sendall(head.encode() + self._framed(image.data[:1]))
        # A proxy that would answer by now, or ask the gate, has had the time for it.
        self.connection.settimeout(0.5)
        try:
            early = self.connection.recv(4096)
        except TimeoutError:
            early = b""
        assert early == b"", early
        self.connection.settimeout(60)

    def _framed(self, data):
        return b"%x\r\n%s\r\n" % (len(data), data) if self.chunked else data

    def finish(self):
        """Send the rest; return the status of the answer."""
        end = b"0\r\n\r\n" if self.chunked else b""
        with self.connection:
            self.connection.sendall(self._framed(self.rest) + end)
            answer = b""
            while chunk := self.connection.recv(4096):
                answer += chunk
        return int(answer.split(b" ", 2)[1])
