"""How this registry deletes a tag, and why it refuses to."""

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
    """Find out how this registry deletes a tag: ``tag`` (3.x) or ``placeholder`` (2.8).

    Asks it to delete a tag that can't be there: 3.x does not find it, 2.8 takes no
    tags. OPTIONS would tell nothing (PROTOCOLS 4.3).

    Raises:
        RegistryTrouble: deletion is switched off, or the registry can't be asked.
    """
    refuse_deletion()
    absent = TagName(f"_registry_ui_{secrets.token_hex(16)}")
    end_read()
    try:
        registry().delete_manifest(repository, absent)
    except RegistryNotFound:
        return "tag"
    except DeletionByTagUnsupported:
        return "placeholder"
    except RegistryError as error:
        raise translate(error) from None
    return "tag"


def why_refused(error: DeletionDisabled) -> tuple[str, str]:
    """Return why the registry deletes nothing, and what an administrator can do."""
    return READ_ONLY if isinstance(error, RegistryReadOnly) else SWITCHED_OFF


def translate(error: RegistryError) -> Exception:
    """Return the error for the caller that fits the registry's."""
    if isinstance(error, RegistryNotFound):
        return NotFound("The registry has no such tag.")
    if isinstance(error, DeletionDisabled):
        message, hint = why_refused(error)
        return RegistryUnreachable(message, hint=hint)
    return RegistryUnreachable(
        f"The registry could not be asked: {error}.", hint="Nothing was changed. Try again later."
    )
