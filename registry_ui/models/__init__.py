"""The shared models. One noun a file."""

from .audit import AuditEntry
from .base import Base, UTCDateTime, utc_now
from .bin import BinnedTag
from .credential import DeployToken, DockerSession
from .event import RefusedDelivery, RegistryEvent, RegistryToken
from .heartbeat import DIGESTS_READ, REGISTRY_READ, Heartbeat
from .image import ContainerImage, HeldManifest, Manifest, Tag, UnassignedRepository
from .place import Membership, Namespace, Place, Project
from .removal import Removal, RemovalLine
from .retention import RetentionPolicy
from .token_decision import TokenDecision
from .user import AccessToken, BrowserSession, FailedSignIn, User

__all__ = [
    "DIGESTS_READ",
    "REGISTRY_READ",
    "AccessToken",
    "AuditEntry",
    "Base",
    "BinnedTag",
    "BrowserSession",
    "ContainerImage",
    "DeployToken",
    "DockerSession",
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
    "RemovalLine",
    "RetentionPolicy",
    "Tag",
    "TokenDecision",
    "UTCDateTime",
    "UnassignedRepository",
    "User",
    "utc_now",
]
