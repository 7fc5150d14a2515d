"""Connection to the registry, with bearer tokens that this application signs itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from flask import Flask, current_app

from config import Config

from .audit import OWN_SUBJECT
from .distribution.call_timeout import at_least
from .distribution.client import RegistryClient
from .distribution.errors import RegistryError, RegistryNotFound
from .distribution.tag_list import TagNames
from .errors import RegistryUnreachable
from .names import RepositoryName
from .token_auth.keyring import KeyRing, RotatingSigner

#: Maximum number of parallel registry calls per thread pool, for all requests of this process.
MAX_PARALLEL_CALLS = 8
#: Minimum timeout in seconds for checking whether the registry answers at all.
ANSWER_TIMEOUT = 10.0
#: Lifetime in seconds of the bearer tokens that this application uses for its own registry calls.
#: A new token is signed for each call.
OWN_TOKEN_LIFETIME = 60
#: Message for users if a registry call failed, and hint for those who wanted to change something.
REGISTRY_ERROR = "The registry could not be asked: {}."
NOTHING_CHANGED = "Nothing was changed. Try again later."


def init_app(app: Flask) -> None:
    """Create the token signer, the registry client, and the thread pools for parallel calls."""
    config: Config = app.config["SETTINGS"]
    signer = RotatingSigner(
        KeyRing(config.token_key_file, config.token_certificate_file),
        config.token_issuer,
        config.token_service,
        config.token_lifetime,
    )

    def bearer(
        repository: str | None, actions: tuple[str, ...], mounted_from: str | None = None
    ) -> str:
        if repository is not None:
            access = [{"type": "repository", "name": repository, "actions": list(actions)}]
        else:
            access = [{"type": "registry", "name": "catalog", "actions": list(actions)}]
        if mounted_from is not None:
            access.append({"type": "repository", "name": mounted_from, "actions": ["pull"]})
        return signer.sign(OWN_SUBJECT, access if actions else [], OWN_TOKEN_LIFETIME).token

    app.extensions["signer"] = signer
    app.extensions["registry"] = RegistryClient(
        config.registry_url, bearer, config.registry_timeout
    )
    app.extensions["registry_threads"] = ThreadPoolExecutor(MAX_PARALLEL_CALLS, "registry")
    app.extensions["registry_lists"] = ThreadPoolExecutor(MAX_PARALLEL_CALLS, "registry-lists")


def registry() -> RegistryClient:
    """Return the application's registry client."""
    client: RegistryClient = current_app.extensions["registry"]
    return client


def is_answering(repository: RepositoryName | None = None) -> bool:
    """Return whether the registry answers requests.

    If so, the cause of an earlier failed call is a single object, not an outage.

    Args:
        repository: the repository whose list of tags is read for the check, so that the registry
            must access its storage; None to check only the base URL of the API.
    """
    try:
        with at_least(ANSWER_TIMEOUT):
            if repository is None:
                registry().ping()
            else:
                registry().tags(repository)
    except RegistryNotFound:
        return True
    except RegistryError:
        return False
    return True


def list_tags(repository: RepositoryName) -> TagNames:
    """Return all tags that the registry lists, including those in the trash, in byte order.

    The result is empty if the registry does not have the repository.

    Raises:
        RegistryError: the registry can't list the tags.
    """
    try:
        return registry().tags(repository)
    except RegistryNotFound:
        return TagNames()


def unreachable_from_message(message: str, hint: str = NOTHING_CHANGED) -> RegistryUnreachable:
    """Convert the message of a failed registry call into an error that is shown to users.

    Args:
        message: the message of the error.
        hint: what the user can do.
    """
    return RegistryUnreachable(REGISTRY_ERROR.format(message), hint=hint)


def threads() -> ThreadPoolExecutor:
    """Return the application's thread pool for parallel registry calls."""
    pool: ThreadPoolExecutor = current_app.extensions["registry_threads"]
    return pool


def list_threads() -> ThreadPoolExecutor:
    """Return the thread pool for requests of tag lists, which must not wait for other calls."""
    pool: ThreadPoolExecutor = current_app.extensions["registry_lists"]
    return pool
