"""One call to the registry for a removal: what is gone is no trouble, and trouble ends the step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ..distribution.errors import (
    DeletionByTagUnsupported,
    DeletionDisabled,
    RegistryError,
    RegistryNotFound,
)
from .work import StepFailed

T = TypeVar("T")

SWITCHED_OFF = (
    "Deletion is switched off in the registry. Set storage.delete.enabled: true in its "
    "configuration, restart it, and try again."
)


def made(call: Callable[[], T]) -> T | None:
    """Make one call; return None where the thing is gone.

    Raises:
        DeletionByTagUnsupported: this registry deletes by digest only.
        StepFailed: any other trouble.
    """
    try:
        return call()
    except RegistryNotFound:
        return None
    except DeletionByTagUnsupported:
        raise
    except DeletionDisabled:
        raise StepFailed(SWITCHED_OFF) from None
    except RegistryError as error:
        raise StepFailed(f"{error}. Nothing else was changed; delete again to go on.") from None
