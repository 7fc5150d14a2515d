"""What can go wrong when the registry is asked."""

from __future__ import annotations


class RegistryError(Exception):
    """Base of all trouble with the registry. The message holds no credentials."""


class RegistryUnavailable(RegistryError):
    """It is down, too slow, or answered 5xx."""


class RegistryRefused(RegistryError):
    """It did not accept our token."""


class RegistryNonsense(RegistryError):
    """It answered something that the protocol does not allow."""


class RegistryNotFound(RegistryError):
    """There is no such repository, manifest or blob."""


class PartsMissing(RegistryError):
    """A manifest was not taken, because the repository lacks something that it names."""


class DeletionDisabled(RegistryError):
    """``storage.delete.enabled`` is off, or the registry is read-only or a cache."""


class DeletionByTagUnsupported(RegistryError):
    """Distribution 2.8 deletes by digest only (PROTOCOLS 4.3)."""
