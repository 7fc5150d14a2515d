"""The shared models. One noun a file."""

from .activity import DailyCount, Push
from .audit import AuditEntry
from .base import Base, UTCDateTime, utc_now
from .contents import ManifestContents
from .credential import DeployToken, DockerSession
from .event import RefusedDelivery, RegistryEvent, RegistryToken
from .heartbeat import DIGESTS_READ, REGISTRY_READ, Heartbeat
from .image import ContainerImage, HeldManifest, Manifest, Tag, UnassignedRepository
from .place import Membership, Namespace, Place, Project
from .removal import Removal
from .token_decision import TokenDecision
from .user import AccessToken, BrowserSession, FailedSignIn, User

__all__ = [
    "DIGESTS_READ",
    "REGISTRY_READ",
    "AccessToken",
    "AuditEntry",
    "Base",
    "BrowserSession",
    "ContainerImage",
    "DailyCount",
    "DeployToken",
    "DockerSession",
    "FailedSignIn",
    "Heartbeat",
    "HeldManifest",
    "Manifest",
    "ManifestContents",
    "Membership",
    "Namespace",
    "Place",
    "Project",
    "Push",
    "RefusedDelivery",
    "RegistryEvent",
    "RegistryToken",
    "Removal",
    "Tag",
    "TokenDecision",
    "UTCDateTime",
    "UnassignedRepository",
    "User",
    "utc_now",
]
