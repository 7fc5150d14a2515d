"""`make run` and its kin as a test drives them: from a copy of the checkout, as a user would."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
import yaml

from config import ROOT
from tests.support.processes import free_port, required, until

READY = "Ctrl-C stops all"
START_DEADLINE = 90.0
STOP_DEADLINE = 40.0


def alive(process: int) -> bool:
    """Return whether a process runs; one that only waits to be reaped does not."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


class Run:
    """One `make run`, or `make dev`. Its processes are those that work in the checkout."""

    def __init__(
        self, checkout: Path, ports: tuple[int, int], target: str = "run", **settings: str
    ) -> None:
        self.checkout = checkout
        self.port, self.registry_port = ports
        self.lines: list[str] = []
        environ = {k: v for k, v in os.environ.items() if not k.startswith("REGISTRY_UI_")}
        settings = {"PORT": str(ports[0]), "REGISTRY_PORT": str(ports[1])} | settings
        environ |= {f"REGISTRY_UI_{name}": value for name, value in settings.items()}
        self.process = subprocess.Popen(
            ["make", target],
            cwd=checkout,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with self.process.stdout as stream:
            self.lines.extend(iter(stream.readline, ""))

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def ready(self) -> Run:
        until(lambda: READY in self.output or self.process.poll() is not None, START_DEADLINE)
        assert READY in self.output, self.output
        return self

    def wait(self) -> int:
        status = self.process.wait(STOP_DEADLINE)
        self._reader.join(STOP_DEADLINE)
        until(lambda: not self.pids(), STOP_DEADLINE)
        return status

    def stop(self, signum: int = signal.SIGINT) -> int:
        """Press Ctrl-C: the whole foreground group gets the signal."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signum)
        return self.wait()

    def end_by_killing(self, name: str, command: str) -> None:
        """Kill one of the processes; check that this ends all, and that its name and log are said.

        The command is a word by which to find the process, and the name is that of the Procfile.
        """
        os.kill(self.pids(command)[0], signal.SIGKILL)
        assert self.wait() != 0
        assert f"{name} was ended by SIGKILL" in self.output
        assert f"log/{name}.log" in self.output

    def pids(self, word: str = "") -> list[int]:
        """Return processes whose command holds the word, the parents first."""
        found = []
        for cwd in Path("/proc").glob("[0-9]*/cwd"):
            try:
                command = (cwd.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                ours = cwd.readlink().is_relative_to(self.checkout)
            except OSError:
                continue
            if ours and word in command and alive(int(cwd.parent.name)):
                found.append(int(cwd.parent.name))
        return sorted(found)

    def get(self, path: str, password: str = "") -> requests.Response:
        auth = ("admin", password) if password else None
        return requests.get(f"http://localhost:{self.port}{path}", auth=auth, timeout=60)

    def bearer(self, password: str, scope: str = "") -> requests.Response:
        return self.get(f"/jwt/auth?service=registry&scope={scope}", password)

    def push(self, repository: str, tag: str, password: str) -> str:
        """Push an image without layers; return its digest."""
        token = self.bearer(password, f"repository:{repository}:pull,push").json()["token"]
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {token}"
        base = f"http://localhost:{self.registry_port}/v2/{repository}"
        config = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
        digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
        with session:
            upload = session.post(f"{base}/blobs/uploads/", timeout=60)
            assert upload.status_code == 202, upload.text
            place = upload.headers["Location"]
            done = session.put(place, params={"digest": digest}, data=config, timeout=60)
            assert done.status_code == 201, done.text
            oci = "application/vnd.oci.image"
            described = {"mediaType": f"{oci}.config.v1+json", "digest": digest}
            manifest = {
                "schemaVersion": 2,
                "mediaType": f"{oci}.manifest.v1+json",
                "config": described | {"size": len(config)},
                "layers": [],
            }
            answer = session.put(
                f"{base}/manifests/{tag}",
                data=json.dumps(manifest),
                headers={"Content-Type": manifest["mediaType"]},
                timeout=60,
            )
        assert answer.status_code == 201, answer.text
        return answer.headers["Docker-Content-Digest"]

    def shows(self, repository: str, password: str) -> bool:
        """Return whether the index knows the image, from an event of the registry."""
        answer = self.get("/api/v4/projects/admin/hello/-/images", password)
        return answer.ok and f'"{repository}"' in answer.text


def free_ports() -> tuple[int, int]:
    """Return a port for the pages and one for the registry."""
    return free_port(), free_port()


def copy_checkout(target: Path) -> Path:
    """Copy what a clone would hold, what is not committed yet, and the bytecode of both."""
    listed = subprocess.run(
        [required("git"), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    names = list(filter(None, listed.stdout.split("\0")))
    # Without the bytecode, the first start in each copy compiles every module again.
    modules = [Path(name) for name in names if name.endswith(".py")]
    suffix = f".{sys.implementation.cache_tag}.pyc"
    names += [f"{module.parent}/__pycache__/{module.stem}{suffix}" for module in modules]
    for name in names:
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


@contextmanager
def checked_out(home: Path) -> Iterator[Place]:
    """A copy of the checkout with the packages of this one; its runs are stopped at the end."""
    place = Place(copy_checkout(home))
    (place.checkout / ".venv").symlink_to(ROOT / ".venv")
    try:
        yield place
    finally:
        for run in reversed(place.runs):
            run.stop()


class Place:
    """A checkout in which runs follow each other, with what the first one printed."""

    def __init__(self, checkout: Path) -> None:
        self.checkout = checkout
        self.ports = free_ports()
        self.runs: list[Run] = []
        self.password = ""

    @property
    def var(self) -> Path:
        return self.checkout / "var"

    def run(self, **settings: str) -> Run:
        """Return the run that goes on, or a new one that answers."""
        if self.runs and self.runs[-1].process.poll() is None:
            return self.runs[-1]
        return self.run_anew(**settings)

    def begin(self, target: str = "run", **settings: str) -> Run:
        """Return a new run, which does not answer yet."""
        self.runs.append(Run(self.checkout, self.ports, target, **settings))
        return self.runs[-1]

    def run_anew(self, **settings: str) -> Run:
        """Return a new run that answers, whatever an earlier one left."""
        run = self.begin(**settings).ready()
        if found := re.search(r"password (\S+) \(shown only now\)", run.output):
            self.password = found[1]
        return run

    def flask(self, *command: str) -> str:
        """Run a command from the clone, without settings."""
        environ = {k: v for k, v in os.environ.items() if not k.startswith("REGISTRY_UI_")}
        done = subprocess.run(
            [".venv/bin/flask", *command],
            cwd=self.checkout,
            env=environ,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def registry_token(self) -> str:
        """Return the secret with which the registry of the last run sends its events."""
        config = yaml.safe_load((self.var / "registry" / "config.yml").read_text())
        (endpoint,) = config["notifications"]["endpoints"]
        (value,) = endpoint["headers"]["Authorization"]
        return value.removeprefix("Bearer ")
