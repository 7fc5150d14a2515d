"""Every client of the registry behind the same few words, each as one person runs it."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from subprocess import CompletedProcess
from typing import ClassVar

from . import engines
from .engines import Command
from .live import tiny

Done = CompletedProcess[str]
_numbers = itertools.count(1)


def works(done: Done) -> str:
    """What a command printed; it must have succeeded."""
    assert done.returncode == 0, f"{done.args}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def refused(done: Done) -> str:
    """What a command complained; it must have failed."""
    assert done.returncode != 0, f"{done.args} succeeded: {done.stdout}"
    return done.stdout + done.stderr


class Workshop:
    """Starts the daemons that clients need, when the first one does, and ends them."""

    def __init__(self, exits: ExitStack) -> None:
        self._exits = exits
        self.home = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="rui-")))

    @cached_property
    def docker(self) -> engines.Docker:
        """The docker daemon."""
        return self._exits.enter_context(engines.docker())

    @cached_property
    def containerd(self) -> Path:
        """The socket of containerd."""
        return self._exits.enter_context(engines.containerd())

    def new_home(self) -> Path:
        """A directory for one person; its path is short."""
        home = self.home / str(next(_numbers))
        home.mkdir()
        return home


@contextmanager
def workshop() -> Iterator[Workshop]:
    """A workshop whose daemons end with it."""
    with ExitStack() as exits:
        yield Workshop(exits)


class Client:
    """One person with one client.

    ``agent`` is how it begins to call itself, ``cannot`` which steps of the matrix it has no
    command for, and why. ``asks_at_login``: whether signing in already asks the registry;
    ``keeps_session``: whether it keeps a refresh token in place of the secret; ``repeats``:
    whether it prints our words when it is refused at login, and afterwards; ``uploads_instead``:
    whether it uploads what it may not mount, where others give up.
    """

    name: ClassVar[str]
    agent: ClassVar[str | tuple[str, ...]]
    cannot: ClassVar[dict[str, str]] = {}
    asks_at_login: ClassVar[bool] = True
    keeps_session: ClassVar[bool] = False
    repeats: ClassVar[tuple[bool, bool]] = (False, True)
    uploads_instead: ClassVar[bool] = False

    def __init__(self, workshop: Workshop, host: str) -> None:
        self.workshop, self.host = workshop, host
        self.run = self.program(workshop)

    def program(self, workshop: Workshop) -> Command:
        """The program, with credentials of its own."""
        raise NotImplementedError

    def login(self, username: str, secret: str) -> Done:
        """Sign in, the secret on the standard input."""
        raise NotImplementedError

    def make(self, reference: str) -> None:
        """Have an image of this name, unlike any other, and nowhere but here."""
        raise NotImplementedError

    def push(self, reference: str) -> Done:
        """Push what make() made or pull() pulled."""
        raise NotImplementedError

    def pull(self, reference: str) -> Done:
        """Forget what there is under the name, and pull it."""
        raise NotImplementedError

    def mount(self, source: str, target: str) -> Done:
        """Push what was pulled as ``source`` into another repository of the registry."""
        raise NotImplementedError

    def delete(self, reference: str) -> Done:
        """Delete a tag, or what it points to."""
        raise NotImplementedError


class DockerClient(Client):
    """The docker CLI with a daemon, which keeps the images for all its people."""

    name, agent = "docker", "docker/"
    cannot: ClassVar = {"delete": "it has no command for it"}
    keeps_session, repeats, uploads_instead = True, (True, True), True

    def program(self, workshop: Workshop) -> Command:
        return workshop.docker.person()

    def login(self, username: str, secret: str) -> Done:
        return self.run("login", self.host, "-u", username, "--password-stdin", given=secret)

    def make(self, reference: str) -> None:
        self.workshop.docker.make_image(reference, f"{reference} {next(_numbers)}")

    def push(self, reference: str) -> Done:
        return self.run("push", reference)

    def pull(self, reference: str) -> Done:
        self.run("image", "rm", "--force", reference)
        return self.run("pull", reference)

    def mount(self, source: str, target: str) -> Done:
        works(self.run("tag", source, target))
        return self.push(target)


class ContainersClient(Client):
    """What skopeo, podman and buildah, which are built on one library, have in common."""

    def login(self, username: str, secret: str) -> Done:
        words = ("login", *self.options, "--tls-verify=false", "--password-stdin")
        return self.run(*words, "-u", username, self.host, given=secret)

    @property
    def options(self) -> list[str]:
        """What stands behind a command."""
        return []

    def archive(self, reference: str) -> str:
        """The address of a new image."""
        return engines.oci_archive(self.run.home, reference, tiny(f"{next(_numbers)}"))


class Skopeo(ContainersClient):
    """skopeo, which copies and keeps nothing."""

    name, agent = "skopeo", "skopeo/"

    def program(self, workshop: Workshop) -> Command:
        return engines.skopeo(workshop.new_home())

    def make(self, reference: str) -> None:
        self.archive(reference)

    def push(self, reference: str) -> Done:
        source = f"oci-archive:{self.run.home / 'image.tar'}"
        return self.run("copy", "--dest-tls-verify=false", source, f"docker://{reference}")

    def pull(self, reference: str) -> Done:
        target = self.run.home / f"pulled{next(_numbers)}"
        return self.run("copy", "--src-tls-verify=false", f"docker://{reference}", f"dir:{target}")

    def mount(self, source: str, target: str) -> Done:
        tls = ("--src-tls-verify=false", "--dest-tls-verify=false")
        return self.run("copy", *tls, f"docker://{source}", f"docker://{target}")

    def delete(self, reference: str) -> Done:
        return self.run("delete", "--tls-verify=false", f"docker://{reference}")


class Podman(ContainersClient):
    """podman. It calls itself by the name of its library when it pushes and pulls."""

    name, agent = "podman", ("containers/", "podman/")
    cannot: ClassVar = {"delete": "it has no command for it"}
    uploads_instead = True

    def program(self, workshop: Workshop) -> Command:
        return engines.podman(workshop.new_home())

    def make(self, reference: str) -> None:
        works(self.run("pull", "--quiet", self.archive(reference)))

    def push(self, reference: str) -> Done:
        return self.run("push", "--tls-verify=false", reference)

    def pull(self, reference: str) -> Done:
        self.run("rmi", "--force", reference)
        return self.run("pull", "--tls-verify=false", reference)

    def mount(self, source: str, target: str) -> Done:
        works(self.run("tag", source, target))
        return self.push(target)


class Buildah(Podman):
    """buildah, which has podman's words for all of this."""

    name, agent = "buildah", "Buildah/"

    def program(self, workshop: Workshop) -> Command:
        return engines.buildah(workshop.new_home())


class Ctr(Client):
    """containerd's ctr. It has no login: each command is given the credentials."""

    name, agent = "ctr", "containerd/"
    cannot: ClassVar = {"delete": "it has no command for it"}
    asks_at_login, repeats = False, (False, False)
    credentials = ""

    def program(self, workshop: Workshop) -> Command:
        # A namespace is somebody's own images.
        options = [f"--address={workshop.containerd}", f"--namespace=n{next(_numbers)}"]
        return Command([engines.required("ctr"), *options], workshop.new_home())

    def login(self, username: str, secret: str) -> Done:
        self.credentials = f"--user={username}:{secret}"
        return CompletedProcess([], 0, "", "")

    def remote(self, *words: str) -> list[str]:
        """The words of a command that asks a registry."""
        return [*words, "--plain-http", *filter(None, [self.credentials])]

    def make(self, reference: str) -> None:
        engines.oci_archive(self.run.home, reference, tiny(f"{next(_numbers)}"))
        works(self.run("images", "import", "--no-unpack", str(self.run.home / "image.tar")))

    def push(self, reference: str) -> Done:
        return self.run(*self.remote("images", "push"), reference)

    def pull(self, reference: str) -> Done:
        self.run("images", "rm", "--sync", reference)
        # Without unpacking: that needs mounts, and is nothing that the registry sees.
        return self.run(*self.remote("content", "fetch"), reference)

    def mount(self, source: str, target: str) -> Done:
        works(self.run("images", "tag", source, target))
        return self.push(target)


class Oras(Client):
    """The library oras. Nobody's token it asks for by the name of what it is built on."""

    name, agent = "oras", ("oras-py", "python-requests/")
    cannot: ClassVar = {"mount": "it uploads every blob"}
    asks_at_login, repeats = False, (False, False)

    def program(self, workshop: Workshop) -> Command:
        return engines.oras(workshop.new_home())

    def login(self, username: str, secret: str) -> Done:
        return self.run("login", self.host, username, given=secret)

    def make(self, reference: str) -> None:
        (self.run.home / "content").write_text(f"{reference} {next(_numbers)}")

    def push(self, reference: str) -> Done:
        return self.run("push", reference, str(self.run.home / "content"))

    def pull(self, reference: str) -> Done:
        return self.run("pull", reference, str(self.run.home / "pulled"))

    def delete(self, reference: str) -> Done:
        return self.run("delete", reference)


CLIENTS = (DockerClient, Skopeo, Podman, Buildah, Ctr, Oras)
