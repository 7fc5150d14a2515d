"""The reverse proxies of docs/administrators.md, started as documented but for names and ports."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from config import ROOT, Config
from registry_ui.launch.gate import FRAME

from .processes import Server, free_port, missing, required, until

PAGE = ROOT / "docs" / "administrators.md"


def documented(heading: str, language: str, number: int = 0) -> str:
    """Return a block of code that the administrators' page shows below a heading."""
    section = PAGE.read_text().partition(f"\n{heading}\n")[2]
    return section.split(f"```{language}\n")[number + 1].partition("```")[0]


def adapted(text: str, changes: Mapping[str, str]) -> str:
    """Replace what a machine of one's own replaces; every change must be possible."""
    for old, new in changes.items():
        assert old in text, f"the documents do not show {old!r}"
        text = text.replace(old, new)
    return text


def write_certificate(home: Path) -> tuple[Path, Path]:
    """Write a self-signed certificate for localhost, and its key; return both files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = home / "site.pem", home / "site.key"
    files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files


def addresses(config: Config) -> dict[str, str]:
    """The addresses of this site for those that the documents show."""
    return {
        "127.0.0.1:5000": f"127.0.0.1:{config.registry_backend_port}",
        "127.0.0.1:8080": f"127.0.0.1:{config.port}",
    }


def installed(program: str) -> str:
    """Return a program that a package of requirements-dev.txt brings along."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which(program, path=path)
    if found is None:
        missing(program)
    return found


@contextmanager
def started(command: list[str], home: Path, port: int) -> Iterator[int]:
    """Run a proxy until the end of the block; its port."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(home)}
    server = Server(command, home / "proxy.log", cwd=home, env=environ)
    try:
        server.wait_for_port(port)
        yield port
    finally:
        server.stop()


def _status_of(port: int) -> int:
    with requests.Session() as session:
        session.trust_env = False
        return session.get(f"http://localhost:{port}/v2/", timeout=60).status_code


def nginx_in(home: Path, text: str) -> list[str]:
    """Write a configuration around some servers; return the command that runs it."""
    user = "user root;" if os.getuid() == 0 else ""
    frame = FRAME.replace("@USER@", user).replace("@DIRECTORY@", str(home))
    (home / "nginx.conf").write_text(frame.replace("SERVER", text))
    return [required("nginx"), "-e", "stderr", "-p", str(home), "-c", str(home / "nginx.conf")]


@contextmanager
def nginx(config: Config, home: Path) -> Iterator[int]:
    """The nginx of the documents, without TLS."""
    port = free_port()
    text = adapted(
        documented("### nginx", "nginx"),
        addresses(config)
        | {
            "127.0.0.1:5001": f"127.0.0.1:{free_port()}",
            "listen 443 ssl;": f"listen 127.0.0.1:{port};",
            "server_name registry.example.org;": "",
            "ssl_certificate /etc/ssl/registry.pem;": "",
            "ssl_certificate_key /etc/ssl/registry.key;": "",
        },
    )
    with started(nginx_in(home, text), home, port) as found:
        yield found


@contextmanager
def traefik(config: Config, home: Path) -> Iterator[int]:
    """The Traefik of the documents, without TLS."""
    port = free_port()
    dynamic = adapted(
        documented("### Traefik", "yaml", 1),
        addresses(config) | {"registry.example.org": "localhost", "      tls: {}\n": ""},
    )
    (home / "dynamic.yml").write_text(dynamic)
    static = adapted(documented("### Traefik", "yaml"), {'":443"': f"127.0.0.1:{port}"})
    files = f"providers:\n  file:\n    filename: {home / 'dynamic.yml'}\n"
    (home / "traefik.yml").write_text(static + files)
    command = [installed("traefik"), f"--configFile={home / 'traefik.yml'}"]
    with started(command, home, port) as found:
        # It listens before it has read its routes, and answers 404 until then.
        until(lambda: _status_of(found) == 401, what="the registry does not answer by Traefik")
        yield found


@contextmanager
def caddy(config: Config, home: Path) -> Iterator[int]:
    """The Caddy of the documents, without TLS."""
    port, inner = free_port(), free_port()
    text = adapted(
        documented("### Caddy", "caddyfile"),
        addresses(config)
        | {
            ":5001": f":{inner}",
            "registry.example.org {": f"http://localhost:{port} {{",
            "{\n    servers": "{\n    admin off\n    servers",
        },
    )
    (home / "Caddyfile").write_text(text)
    command = [installed("caddy"), "run", "--adapter", "caddyfile", "--config"]
    with started([*command, str(home / "Caddyfile")], home, port) as found:
        yield found


#: The proxies of the documents, by name.
PROXIES = {"nginx": nginx, "traefik": traefik, "caddy": caddy}
