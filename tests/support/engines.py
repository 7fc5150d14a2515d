"""Real clients as people run them: docker and containerd with daemons of their own, and others."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from registry_ui.demo.images import Manifest, encode

from .processes import Server, required, until

#: A client that waits longer than this hangs.
PATIENCE = 120


@dataclass
class Command:
    """A program with the options that always stand in front; ``home`` is one person's."""

    prefix: list[str]
    home: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    #: Seconds after which it is killed.
    patience: float = PATIENCE

    def __call__(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run it; ``given`` is its standard input."""
        outer = {
            name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ
        }
        return subprocess.run(
            [*self.prefix, *arguments],
            env={**outer, "HOME": str(self.home), **self.environ},
            cwd=self.home,
            input=given,
            capture_output=True,
            text=True,
            timeout=self.patience,
            check=False,
        )

    def works(self, *arguments: str, given: str = "") -> str:
        """Run it; it must succeed. Returns what it printed."""
        done = self(*arguments, given=given)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def fails(self, *arguments: str, given: str = "") -> str:
        """Run it; it must fail. Returns what it complained."""
        done = self(*arguments, given=given)
        assert done.returncode != 0, f"{arguments} succeeded: {done.stdout}"
        return done.stderr + done.stdout


def need_root(program: str) -> None:
    """Skip where we are not root. In CI that is a failure."""
    if os.geteuid() != 0:
        message = f"{program} needs root"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)


# -- docker ----------------------------------------------------------------------


class Docker:
    """A daemon of the tests, apart from any other on the machine."""

    def __init__(self, home: Path) -> None:
        self.home = home
        # Debian's client, where there is one: it fits the daemon of the same package.
        debian = Path("/usr/bin/docker")
        self.program = str(debian) if debian.exists() else required("docker")
        self.address = f"unix://{home / 'docker.sock'}"
        self._server: Server | None = None
        self._people = 0

    def start(self) -> None:
        """Start the daemon without network and with the plainest storage."""
        need_root("dockerd")
        log = self.home / "dockerd.log"
        options = ["--iptables=false", "--ip6tables=false", "--bridge=none"]
        options += ["--storage-driver=vfs", f"--data-root={self.home / 'data'}"]
        options += [f"--exec-root={self.home / 'exec'}", f"--pidfile={self.home / 'docker.pid'}"]
        self._server = Server([required("dockerd"), *options, f"--host={self.address}"], log)

        def answers() -> bool:
            assert self._server is not None
            assert self._server.process.poll() is None, log.read_text()[-3000:]
            return self.person()("version").returncode == 0

        until(answers, 60, "dockerd")

    def stop(self) -> None:
        """End it; it ends its containerd."""
        if self._server is not None:
            self._server.stop()

    def person(self) -> Command:
        """A client whose credentials are its own."""
        self._people += 1
        home = self.home / f"person{self._people}"
        home.mkdir()
        return Command([self.program, f"--host={self.address}", f"--config={home}"], home)

    def make_image(self, name: str, content: str) -> None:
        """Make a local image of one file."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            entry = tarfile.TarInfo("content")
            entry.size = len(content.encode())
            archive.addfile(entry, io.BytesIO(content.encode()))
        (self.home / "image.tar").write_bytes(buffer.getvalue())
        self.person().works("import", str(self.home / "image.tar"), name)


@contextmanager
def docker() -> Iterator[Docker]:
    """A running daemon. Its paths are short: they hold sockets."""
    required("dockerd")
    home = Path(tempfile.mkdtemp(prefix="rui-docker-"))
    daemon = Docker(home)
    try:
        daemon.start()
        yield daemon
    finally:
        daemon.stop()
        shutil.rmtree(home, ignore_errors=True)


# -- containerd ------------------------------------------------------------------

CONTAINERD = """\
version = 2
root = "{home}/root"
state = "{home}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{home}/grpc"
[ttrpc]
  address = "{home}/ttrpc"
"""


@contextmanager
def containerd() -> Iterator[Path]:
    """A running containerd for its ``ctr``; yields its socket. It runs no containers."""
    program = required("containerd")
    need_root("containerd")
    home = Path(tempfile.mkdtemp(prefix="rui-ctr-"))
    (home / "config.toml").write_text(CONTAINERD.format(home=home))
    log = home / "containerd.log"
    server = Server([program, "--config", str(home / "config.toml")], log)
    check = Command([required("ctr"), f"--address={home / 'grpc'}"], home)

    def answers() -> bool:
        assert server.process.poll() is None, log.read_text()[-3000:]
        return check("version").returncode == 0

    try:
        until(answers, 60, "containerd")
        yield home / "grpc"
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


# -- skopeo, podman and buildah --------------------------------------------------


def skopeo(home: Path) -> Command:
    """A skopeo whose credentials and caches are its own."""
    home.mkdir(parents=True, exist_ok=True)
    files = {"REGISTRY_AUTH_FILE": str(home / "auth.json"), "XDG_RUNTIME_DIR": str(home)}
    return Command([required("skopeo"), "--insecure-policy"], home, files)


def podman(home: Path) -> Command:
    """A podman whose images and credentials are its own; it needs no cgroups and no network."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "auth.json").write_text("{}")  # podman wants the file that it is told of
    options = [f"--root={home / 'root'}", f"--runroot={home / 'run'}", "--storage-driver=vfs"]
    options += ["--cgroup-manager=cgroupfs", "--events-backend=none"]
    files = {"REGISTRY_AUTH_FILE": str(home / "auth.json"), "XDG_RUNTIME_DIR": str(home)}
    return Command([required("podman"), *options], home, files)


def buildah(home: Path) -> Command:
    """A buildah whose images and credentials are its own."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "auth.json").write_text("{}")
    options = [f"--root={home / 'root'}", f"--runroot={home / 'run'}", "--storage-driver=vfs"]
    files = {"REGISTRY_AUTH_FILE": str(home / "auth.json"), "XDG_RUNTIME_DIR": str(home)}
    return Command([required("buildah"), *options], home, files)


def oras(home: Path) -> Command:
    """oras with credentials of its own."""
    home.mkdir(parents=True, exist_ok=True)
    return Command([sys.executable, str(Path(__file__).with_name("oras_client.py"))], home)


def oci_archive(home: Path, name: str, manifest: Manifest) -> str:
    """Write an image as an archive that says the image's full name; return its address."""
    layout, archive = home / "layout", home / "image.tar"
    shutil.rmtree(layout, ignore_errors=True)
    oci_layout(layout, {name: manifest})
    with tarfile.open(archive, "w") as file:
        file.add(layout, arcname=".")
    return f"oci-archive:{archive}"


def oci_layout(home: Path, tags: Mapping[str, Manifest]) -> str:
    """Write images as an OCI image layout; return its address for skopeo, without the tag."""
    blobs = home / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    entries = []
    for tag, manifest in tags.items():
        for part in manifest.walk():
            for blob in (part, *part.blobs):
                (blobs / blob.digest.partition(":")[2]).write_bytes(blob.data)
        name = {"org.opencontainers.image.ref.name": tag}
        entries.append({**manifest.descriptor(), "annotations": name})
    (home / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
    (home / "index.json").write_bytes(encode({"schemaVersion": 2, "manifests": entries}))
    return f"oci:{home}"
