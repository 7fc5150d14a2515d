"""The shared models. One noun a file."""

from .audit import AuditEntry
from .base import Base, UTCDateTime, utc_now
from .event import RefusedDelivery, RegistryEvent, RegistryToken
from .heartbeat import DIGESTS_READ, REGISTRY_READ, Heartbeat
from .image import ContainerImage, HeldManifest, Manifest, Tag, UnassignedRepository
from .place import Membership, Namespace, Place, Project
from .removal import Removal
from .user import AccessToken, BrowserSession, FailedSignIn, User

__all__ = [
    "DIGESTS_READ",
    "REGISTRY_READ",
    "AccessToken",
    "AuditEntry",
    "Base",
    "BrowserSession",
    "ContainerImage",
    "FailedSignIn",
    "Heartbeat",
    "HeldManifest",
    "Manifest",
    "Membership",
    "Namespace",
    "Place",
    "Project",
    "RefusedDelivery",
    "RegistryEvent",
    "RegistryToken",
    "Removal",
    "Tag",
    "UTCDateTime",
    "UnassignedRepository",
    "User",
    "utc_now",
]
