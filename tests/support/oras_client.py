"""oras as a program: it comes as a library only.   python oras_client.py COMMAND ARGUMENT...

Credentials lie where those of docker do, below $HOME.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import oras.auth.utils
from oras.client import OrasClient

# What is refused it tries six times, with pauses of two minutes in all.
time.sleep = lambda _seconds: None


def client_for(reference: str, actions: str) -> OrasClient:
    """Return a client that holds a token for these actions.

    It keeps the token of its first request, which is for pulling, and does not ask for more
    when the registry refuses it: whoever writes takes a wider one before.
    """
    client = OrasClient(insecure=True)
    container = client.get_container(reference)
    client.auth.load_configs(container)
    answer = client.session.get(f"http://{container.registry}/v2/")
    wanted = oras.auth.utils.parse_auth_header(answer.headers["WWW-Authenticate"])
    wanted.scope = f"repository:{container.api_prefix}:{actions}"
    token = client.auth.request_token(wanted)
    if token is None:
        raise SystemExit("the token was refused")
    client.auth.set_token_auth(token)
    return client


def login(host: str, username: str) -> None:
    """Keep what stands on the standard input; the registry is not asked."""
    OrasClient(insecure=True).login(username, sys.stdin.read(), hostname=host)


def push(reference: str, file: str) -> None:
    """Push one file as an artifact."""
    client = client_for(reference, "pull,push")
    client.push(reference, files=[file], disable_path_validation=True)


def pull(reference: str, directory: str) -> None:
    """Pull the files of an artifact."""
    Path(directory).mkdir(exist_ok=True)
    print(*OrasClient(insecure=True).pull(reference, outdir=directory))  # noqa: T201


def delete(reference: str) -> None:
    """Delete what a tag points to."""
    name, _, tag = reference.rpartition(":")
    if client_for(reference, "pull,delete").delete_tags(name, [tag]) != [tag]:
        raise SystemExit("there is no such tag")


if __name__ == "__main__":
    commands = {"login": login, "push": push, "pull": pull, "delete": delete}
    commands[sys.argv[1]](*sys.argv[2:])
