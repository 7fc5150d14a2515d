"""Find a Distribution registry on this machine, or fetch one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from config import ROOT

from . import LaunchError

PROGRAM_NAMES = ("registry", "docker-registry")
ENGINES = ("docker", "podman")
#: Container image of the registry. The tag is a full version, because the image behind `3` changes.
#: No digest is pinned, because it would be valid for one platform only and can't be verified here.
#: An image with this tag that is already on this machine is used as it is.
REGISTRY_IMAGE = "registry:3.1.1"
VERSION = re.compile(r"github\.com/(?:docker|distribution)/distribution\S*\s+v?(\S+)")
NO_REGISTRY = (
    "there is no registry on this machine, and none could be fetched. Do one of these and try "
    "again: apt install docker-registry; put Distribution's `registry` on PATH; start docker; "
    "or set REGISTRY_UI_REGISTRY_URL to a registry that you already run"
)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry that can be started.

    Attributes:
        description: the program's path and version, or the name of the container image.
        command: the command that runs the registry, without its last argument, the path of the
            configuration file.
        collector: the command that runs the garbage collector, also without that path.
        removal: the command that removes the container; empty for a program on this machine.
    """

    description: str
    command: tuple[str, ...]
    collector: tuple[str, ...] = ()
    removal: tuple[str, ...] = ()

    def remove_container(self) -> None:
        """Remove the container of the registry, if the registry runs in a container."""
        if self.removal:
            _read_output(list(self.removal))


def find_registry(var: Path, readable: tuple[Path, ...], say: Say) -> Registry:
    """Return the first registry found: on PATH, Debian's package under ``var``, or a container.

    Args:
        var: the directory for fetched files.
        readable: files that a container must be able to read besides ``var/registry``.
        say: called with a message before each step that takes time.

    Raises:
        LaunchError: no registry was found; the message says what to install.
    """
    registry = (
        _find_on_path() or _fetch_debian_package(var, say) or _prepare_container(var, readable, say)
    )
    if registry is None:
        raise LaunchError(NO_REGISTRY)
    return registry


def version_of(program: Path | str) -> str | None:
    """Return the version of a Distribution registry; None if the program is not one."""
    output = _read_output([str(program), "--version"])
    match = VERSION.search(output or "")
    return match[1] if match else None


def _find_on_path() -> Registry | None:
    candidates = (path for name in PROGRAM_NAMES if (path := shutil.which(name)))
    return next(
        (registry for path in candidates if (registry := _registry_from_program(path))), None
    )


def _registry_from_program(path: Path | str) -> Registry | None:
    version = version_of(path)
    if version is None:
        return None
    return Registry(f"{path} {version}", (str(path), "serve"), (str(path), "garbage-collect"))


def _fetch_debian_package(var: Path, say: Say) -> Registry | None:
    directory = var / "debian" / "docker-registry"
    if not directory.exists():
        if not shutil.which("apt-get"):
            return None
        say("There is no registry on PATH: fetching Debian's docker-registry")
        command = ["sh", str(ROOT / "deploy" / "debian-package.sh"), directory.name, str(directory)]
        result = subprocess.run(
            command,
            env=os.environ | {"REGISTRY_UI_VAR": str(var)},
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if result.returncode:
            say(f"That did not work: {result.stderr.strip()}")
            return None
    return _registry_from_program(directory / "usr" / "bin" / "docker-registry")


def _prepare_container(var: Path, readable: tuple[Path, ...], say: Say) -> Registry | None:
    for engine in ENGINES:
        # Skip rootless Docker, because it has a separate network, where localhost is a different
        # host. Rootless Podman shares the network of this machine.
        security_options = _read_output([engine, "info", "--format", "{{.SecurityOptions}}"])
        if engine == "docker" and (security_options is None or "rootless" in security_options):
            continue
        if security_options is None and _read_output([engine, "info"]) is None:
            continue
        if _read_output([engine, "image", "inspect", REGISTRY_IMAGE]) is None:
            say(f"There is no registry on PATH: {engine} pulls {REGISTRY_IMAGE}")
            if _read_output([engine, "pull", "--quiet", REGISTRY_IMAGE], timeout=600) is None:
                say(f"{engine} could not pull {REGISTRY_IMAGE}")
                continue
        name = f"registry_ui-{sha256(bytes(var)).hexdigest()[:12]}"
        # The fixed name of the collector's container prevents two collectors at the same time.
        registry = Registry(
            f"{REGISTRY_IMAGE} by {engine}",
            (*_build_run_command(engine, name, var, readable), "serve"),
            (*_build_run_command(engine, f"{name}-collector", var, readable), "garbage-collect"),
            (engine, "rm", "--force", name),
        )
        registry.remove_container()
        return registry
    return None


def _build_run_command(
    engine: str, name: str, var: Path, readable: tuple[Path, ...]
) -> tuple[str, ...]:
    """Return the command that runs the image in a container, without the registry's arguments.

    The container uses the network of the host, because the registry listens on loopback and
    reaches the web app there.
    """
    command = [engine, "run", "--rm", "--name", name, "--network", "host"]
    command += ["--user", f"{os.getuid()}:{os.getgid()}"]
    if engine == "podman" and os.getuid():
        command += ["--userns", "keep-id"]
    command += ["--env", "OTEL_TRACES_EXPORTER=none"]
    command += ["--volume", f"{var / 'registry'}:{var / 'registry'}"]
    for path in readable:
        command += ["--volume", f"{path}:{path}:ro"]
    return (*command, REGISTRY_IMAGE)


def _read_output(command: list[str], timeout: float = 20) -> str | None:
    """Run a command, and return its standard output and standard error.

    Return None if the command does not exist, fails, or takes longer than ``timeout`` seconds.
    """
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=timeout, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout + result.stderr
