"""Commands and configuration lines that pull a tag with different clients."""

from __future__ import annotations

from ..tags.rows import is_for_oras, pull_command
from .view_models import PullCommand


def commands(kind: str, repository: str, tag: str, digest: str | None) -> list[PullCommand]:
    """Return the commands and configuration lines that pull a tag, the usual client first.

    Args:
        kind: the kind of manifest, such as ``image`` or ``chart``.
        repository: the name of the repository, with the registry's host.
        tag: the name of the tag.
        digest: the digest of the tag; None if it is not known. Then no command uses a digest.
    """
    by_tag = f"{repository}:{tag}"
    by_digest = f"{repository}@{digest}" if digest else ""
    command = pull_command(kind, repository, tag)
    if kind == "chart":
        install_command = command.replace("helm pull", "helm install my-release", 1)
        return [PullCommand("helm", command), PullCommand("helm install", install_command)]
    if kind == "build cache":
        cache_command = f"docker buildx build --cache-to type=registry,ref={by_tag} ."
        return [PullCommand("buildx", command), PullCommand("buildx, to write it", cache_command)]
    if is_for_oras(kind):
        return [PullCommand("oras", command, by_digest and f"oras pull {by_digest}")]
    lines = {
        "docker": "docker pull {}",
        "podman": "podman pull {}",
        "Kubernetes": "image: {}",
        "Dockerfile": "FROM {}",
    }
    return [
        PullCommand(client, line.format(by_tag), by_digest and line.format(by_digest))
        for client, line in lines.items()
    ]
