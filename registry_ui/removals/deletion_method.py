"""Detection of how the registry deletes tags, and messages for a registry that refuses to."""

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
from ..registry_connection import registry, unreachable_from_message

READ_ONLY = (
    "The registry is read-only, so nothing can be deleted.",
    "Wait until its maintenance is over, or set storage.maintenance.readonly off and restart.",
)
SWITCHED_OFF = (
    "Deletion is switched off in the registry.",
    "Set storage.delete.enabled: true in its configuration and restart it. A cache can't delete.",
)


def deletion_method(repository: RepositoryName) -> str:
    """Return how this registry deletes a tag: ``tag`` or ``placeholder``.

    Distribution 3.x deletes by tag. Distribution 2.8 deletes only by digest, so the tag is first
    pointed to a placeholder manifest. To find out, delete a tag that can't exist: 3.x answers that
    the tag is unknown. An OPTIONS request gives the same answer on both (PROTOCOLS 4.3).

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
    """Convert an error of the registry client into an error with a message for users.

    Returns NotFound if the registry does not have the tag, otherwise RegistryUnreachable.
    """
    if isinstance(error, RegistryNotFound):
        return NotFound("The registry has no such tag.")
    if isinstance(error, DeletionDisabled):
        message, hint = explain_refusal(error)
        return RegistryUnreachable(message, hint=hint)
    return unreachable_from_message(str(error))
