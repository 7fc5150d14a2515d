"""Clients that push all the time, and write down what the registry has answered."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from registry_ui.demo.artifacts import attestation, signature, signature_tag
from registry_ui.demo.images import DOCKER, OCI, Image, Manifest, index
from registry_ui.demo.push import Challenge, RegistryClient, RegistryError

from .engines import oci_layout, skopeo
from .ledger import Ledger, Renamed
from .live import tiny

#: Seconds after which a client asks for another bearer token.
TOKEN_AGE = 1.0
#: Seconds that a request may take, and so a client that is ended after that.
PATIENCE = 4.0
#: No bearer token is used for longer.
LONGEST = TOKEN_AGE + PATIENCE
#: Images of every project.
IMAGES = ("app", "web")
#: Parts of many indexes: a tag that always stays leads to them.
AMD, ARM = tiny("amd of all"), tiny("arm of all", platform="linux/arm64")
BASE = index([AMD, ARM])


class Unsure(Exception):
    """A tag was sent, and no answer came."""


class Hasty(RegistryClient):
    """A client that uses a bearer token for a moment only, and looks at everything each time."""

    def push_one(self, repository: str, tag: str, manifest: Manifest) -> None:
        """Push a manifest with everything that it names.

        Raises:
            RegistryError: it was refused.
            Unsure: nobody knows.
        """
        self._present.clear()
        self._push_one(repository, tag, manifest)

    def token(self, challenge: Challenge, scope: str) -> str:
        """Fetch a bearer token, and note when the oldest one that is kept was asked for."""
        if not self._tokens:
            self._local.asked = time.monotonic()
        return super().token(challenge, scope)

    def _call(self, method: str, path: str, repository: str, *expected: int, **more: Any) -> Any:
        if time.monotonic() - getattr(self._local, "asked", 0.0) > TOKEN_AGE:
            self._tokens.clear()
        return super()._call(method, path, repository, *expected, **more)

    def _send(self, method: str, url: str, **more: Any) -> Any:
        try:
            return super()._send(method, url, **more)
        except RegistryError as error:
            if method == "PUT" and "/manifests/" in url:
                raise Unsure(str(error)) from error
            raise


class Pushing(threading.Thread):
    """Somebody who pushes until told to stop: to all projects, by tags that are theirs alone."""

    family: ClassVar = DOCKER

    def __init__(self, name: str, seed: float, ledger: Ledger, projects: list[Renamed]) -> None:
        super().__init__(name=name)
        self.ledger, self.projects, self.random = ledger, projects, Random(seed)
        self.over = threading.Event()
        self.numbers = itertools.count(1)

    def run(self) -> None:
        """Push one thing after another, and rest for longer than that took.

        On a busy machine it pushes less: what is pushed would keep the machine busy for longer.
        """
        while not self.over.is_set():
            began = time.monotonic()
            self.push_something()
            took = time.monotonic() - began
            self.over.wait(self.random.uniform(0.2, 1.4) + 2 * took)

    def push_something(self) -> None:
        """Push new content of some kind, sometimes by an old path, which must be refused."""
        project, image = self.random.choice(self.projects), self.random.choice(IMAGES)
        number = len(project.names) - 1
        old = number and self.random.random() < 0.1
        for tag, manifest in self.invent(project.names[number], image):
            if old:
                self.try_old(project, number - 1, image, tag, manifest)
            elif not self.push(project, number, image, tag, manifest):
                return

    def invent(self, path: str, image: str) -> list[tuple[str, Manifest]]:
        """Return tags and their new content, in the order in which they are pushed."""
        number = next(self.numbers)
        tag, name = f"{self.name}-{number}", f"{self.name} {number}"
        kind = self.random.choice(["plain", "moving", "two", "shared", "whole", "signed"])
        plain: Image = tiny(name)  # type: ignore[assignment]
        if kind == "moving":
            return [(f"{self.name}-moving", plain)]
        if kind == "two":
            again = tiny(name, family=self.family)
            return [(tag, again), (f"{tag}-too", again)]
        if kind == "shared":
            return [(tag, index([plain, ARM]))]
        if kind == "whole":
            return [(tag, index([plain, AMD, attestation(plain)]))]
        if kind == "signed":
            return [(tag, plain), (signature_tag(plain), signature(plain, f"{path}/{image}"))]
        return [(tag, plain)]

    def push(self, project: Renamed, number: int, image: str, tag: str, manifest: Manifest) -> bool:
        """Push, and write down what came of it; return whether it is there for sure."""
        began = time.time()
        try:
            self.send(f"{project.names[number]}/{image}", tag, manifest)
        except RegistryError as error:
            self.ledger.refuse(str(error))
            return False
        except Unsure:
            self.ledger.push(project, number, image, tag, manifest, began=began, sure=False)
            return False
        self.ledger.push(project, number, image, tag, manifest, began=began, sure=True)
        return True

    def try_old(
        self, project: Renamed, number: int, image: str, tag: str, manifest: Manifest
    ) -> None:
        """Push by an old path; the registry's events say what came of it where no answer came."""
        repository = f"{project.names[number]}/{image}"
        tag += "-by-an-old-name"  # Moving tags were pushed by names of then.
        self.ledger.must_be_refused(repository, tag)
        try:
            self.send(repository, tag, manifest)
        except (RegistryError, Unsure):
            return
        self.ledger.wrong.append(f"pushed by an old path: {repository}:{tag}")

    def send(self, repository: str, tag: str, manifest: Manifest) -> None:
        """Push by this client; as Hasty.push_one()."""
        raise NotImplementedError


class PushingHasty(Pushing):
    """One that speaks HTTP itself."""

    def __init__(self, client: Hasty, *arguments: Any) -> None:
        super().__init__(*arguments)
        client.timeout = PATIENCE
        self.client = client

    def send(self, repository: str, tag: str, manifest: Manifest) -> None:
        self.client.push_one(repository, tag, manifest)


class PushingSkopeo(Pushing):
    """One that runs skopeo, which is ended where it takes too long."""

    #: Layouts, from which it pushes, are of that family alone.
    family: ClassVar = OCI

    def __init__(self, home: Path, host: str, credentials: str, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.home, self.host = home, host
        self.command = replace(skopeo(home), patience=PATIENCE)
        self.options = ("--quiet", "--all", "--preserve-digests", "--dest-tls-verify=false")
        self.options += ("--retry-times=0", f"--dest-creds={credentials}")

    def send(self, repository: str, tag: str, manifest: Manifest) -> None:
        layout = self.home / "layout"
        shutil.rmtree(layout, ignore_errors=True)
        source = f"{oci_layout(layout, {'it': manifest})}:it"
        target = f"docker://{self.host}/{repository}:{tag}"
        try:
            done = self.command("copy", *self.options, source, target)
        except subprocess.TimeoutExpired as error:
            raise Unsure(str(error)) from error
        if done.returncode:
            raise RegistryError(done.stderr)
