"""Exceptions raised by calls to the registry."""

from __future__ import annotations


class RegistryError(Exception):
    """Base class of all errors from the registry. Messages contain no credentials.

    Attributes:
        is_outage: whether the registry as a whole does not answer, so that the cause is not the
            object that was asked for.
    """

    is_outage = False


class RegistryUnavailable(RegistryError):
    """The registry is down, too slow, or returned a 5xx or 429 status."""

    is_outage = True


class ConnectionBroken(RegistryUnavailable):
    """The connection broke before a response arrived; a GET or HEAD can be retried immediately."""


class RegistryTimeout(RegistryUnavailable):
    """A request timed out, either because the registry hangs or because this request is slow."""


class CallBudgetSpent(RegistryUnavailable):
    """The call was not made, because the page view has reached its limit of registry calls."""


class RegistryFault(RegistryUnavailable):
    """The registry itself, not a proxy, returned status 500 for one request.

    If the error persists while other requests succeed, an object in the storage is damaged.
    """

    is_outage = False


class RegistryRefused(RegistryError):
    """The registry did not accept our bearer token (401 or 403)."""


class InvalidRegistryResponse(RegistryError):
    """The registry returned a response that the protocol does not allow."""


class ContentTooLarge(InvalidRegistryResponse):
    """The response body exceeds the size limit for its kind of content."""


class RegistryNotFound(RegistryError):
    """The repository, manifest, tag, or blob does not exist."""


class PartsMissing(RegistryError):
    """A manifest was rejected because the repository lacks content that it references."""


class Schema1Refused(RegistryError):
    """The registry serves schema 1 manifests, but does not let clients push them."""


class DeletionDisabled(RegistryError):
    """Deletion is not possible: ``storage.delete.enabled`` is off, or the registry is a cache."""


class RegistryReadOnly(DeletionDisabled):
    """The registry is read-only, because ``storage.maintenance.readonly`` is on."""


class RegistryIsCache(RegistryError):
    """The registry is a pull-through cache, so nothing can be pushed to it."""


class DeletionByTagUnsupported(RegistryError):
    """The registry deletes by digest only, as Distribution 2.8 does (PROTOCOLS 4.3)."""
