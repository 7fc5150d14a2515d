"""What can go wrong when the registry is asked."""

from __future__ import annotations


class RegistryError(Exception):
    """Base of all trouble with the registry. The message holds no credentials."""


class RegistryUnavailable(RegistryError):
    """It is down, too slow, or answered 5xx."""


class ConnectionBroken(RegistryUnavailable):
    """The connection broke before the answer came: a read may be tried again at once."""


class RegistryTimeout(RegistryUnavailable):
    """It did not answer one request in time: it is silent, or only this request is slow."""


class CallBudgetSpent(RegistryUnavailable):
    """It was not asked, because a page view may not make any more calls."""


class RegistryFault(RegistryUnavailable):
    """It answers, but fails on this one request: a 500 of its own, not of a proxy.

    If it stays so while other requests succeed, one object in its storage is damaged.
    """


class RegistryRefused(RegistryError):
    """It did not accept our token."""


class InvalidRegistryResponse(RegistryError):
    """It answered something that the protocol does not allow."""


class ContentTooLarge(InvalidRegistryResponse):
    """The content is larger than the limit on what is read of it."""


class RegistryNotFound(RegistryError):
    """There is no such repository, manifest or blob."""


class PartsMissing(RegistryError):
    """A manifest was not taken, because the repository lacks something that it names."""


class Schema1Refused(RegistryError):
    """The registry serves manifests of schema 1, but takes none."""


class DeletionDisabled(RegistryError):
    """The configuration forbids deleting: ``storage.delete.enabled`` is off, or it is a cache."""


class RegistryReadOnly(DeletionDisabled):
    """Nothing can be written or deleted: ``storage.maintenance.readonly`` is on."""


class RegistryIsCache(RegistryError):
    """It is a pull-through cache: nothing can be pushed to it."""


class DeletionByTagUnsupported(RegistryError):
    """Distribution 2.8 deletes by digest only (PROTOCOLS 4.3)."""
