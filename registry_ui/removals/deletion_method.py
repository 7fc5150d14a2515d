"""Detection of how the registry deletes tags, and why it refuses to."""

from __future__ import annotations

import secrets

from ..catalog.pull_through import refuse_deletion
from ..db.session import end_read
from ..distribution.errors import (
    DeletionByTagUnsupported,
    DeletionDisabled,
    RegistryError,
    RegistryNotFound,
    RegistryReadOnly,
)
from ..errors import NotFound, RegistryUnreachable
from ..names import RepositoryName, TagName
from ..registry_connection import registry

READ_ONLY = (
    "The registry is read-only, so nothing can be deleted.",
    "Wait until its maintenance is over, or set storage.maintenance.readonly off and restart.",
)
SWITCHED_OFF = (
    "Deletion is switched off in the registry.",
    "Set storage.delete.enabled: true in its configuration and restart it. A cache can't delete.",
)


def deletion_method(repository: RepositoryName) -> str:
    """Return how this registry deletes a tag: ``tag`` (3.x) or ``placeholder`` (2.8).

    Asks the registry to delete a tag that can't exist: 3.x answers that it is unknown, 2.8 that it
    deletes by digest only. OPTIONS does not tell them apart (PROTOCOLS 4.3).

    Raises:
        RegistryUnreachable: deletion is disabled, or the registry can't be asked.
    """
    refuse_deletion()
    absent_tag = TagName(f"_registry_ui_{secrets.token_hex(16)}")
    end_read()
    try:
        registry().delete_manifest(repository, absent_tag)
    except RegistryNotFound:
        return "tag"
    except DeletionByTagUnsupported:
        return "placeholder"
    except RegistryError as error:
        raise translate(error) from None
    return "tag"


def explain_refusal(error: DeletionDisabled) -> tuple[str, str]:
    """Return the reason why the registry deletes nothing, and a hint for an administrator."""
    return READ_ONLY if isinstance(error, RegistryReadOnly) else SWITCHED_OFF


def translate(error: RegistryError) -> Exception:
    """Convert an error of the registry client into an error for the caller.

    Returns NotFound if the tag is unknown, and RegistryUnreachable for any other error.
    """
    if isinstance(error, RegistryNotFound):
        return NotFound("The registry has no such tag.")
    if isinstance(error, DeletionDisabled):
        message, hint = explain_refusal(error)
        return RegistryUnreachable(message, hint=hint)
    return RegistryUnreachable(
        f"The registry could not be asked: {error}.", hint="Nothing was changed. Try again later."
    )
