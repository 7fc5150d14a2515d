"""SQLAlchemy models that all packages share, one module per concept."""

from .activity import DailyCount, Push
from .audit import AuditEntry
from .base import Base, UTCDateTime, utc_now
from .contents import UNLISTED, IndexChild, ManifestContents
from .copy import Copy, CopyLine, CopyPreview, PlannedCopyData
from .credential import DeployToken, DockerSession
from .event import UNASSIGNED, RefusedDelivery, RegistryEvent, RegistryToken
from .garbage_collection import GarbageCollection
from .heartbeat import DIGESTS_READ, GATE_ASKED, REGISTRY_IS_CACHE, REGISTRY_READ, Heartbeat
from .image import (
    AttachedDocument,
    ContainerImage,
    Manifest,
    RepositoryManifest,
    Tag,
    TagHistoryEntry,
    UnassignedRepository,
)
from .leased import Leased, Stallable
from .move import CopiedManifest, CopiedTag, Move, MovedRepository, OldPath, UnmovedTag
from .place import Membership, Namespace, Place, Project
from .protection import ProtectionRule, ProtectionViolation, TagClaim
from .removal import PlannedTagData, PolicyDryRun, Removal, RemovalLine, RemovalPreview
from .retention import RetentionPolicy
from .steps import CopyStep, PlanStep, RemovalStep
from .token_decision import TokenDecision
from .trash import TrashedTag
from .user import AccessToken, BrowserSession, FailedSignIn, KnownSignIn, UnseenSecret, User
from .waiting_pull import WaitingPull
from .work import Operation, OperationStep
from .write_freeze import WriteFreeze

__all__ = [
    "DIGESTS_READ",
    "GATE_ASKED",
    "REGISTRY_IS_CACHE",
    "REGISTRY_READ",
    "UNASSIGNED",
    "UNLISTED",
    "AccessToken",
    "AttachedDocument",
    "AuditEntry",
    "Base",
    "BrowserSession",
    "ContainerImage",
    "CopiedManifest",
    "CopiedTag",
    "Copy",
    "CopyLine",
    "CopyPreview",
    "CopyStep",
    "DailyCount",
    "DeployToken",
    "DockerSession",
    "FailedSignIn",
    "GarbageCollection",
    "Heartbeat",
    "IndexChild",
    "KnownSignIn",
    "Leased",
    "Manifest",
    "ManifestContents",
    "Membership",
    "Move",
    "MovedRepository",
    "Namespace",
    "OldPath",
    "Operation",
    "OperationStep",
    "Place",
    "PlanStep",
    "PlannedCopyData",
    "PlannedTagData",
    "PolicyDryRun",
    "Project",
    "ProtectionRule",
    "ProtectionViolation",
    "Push",
    "RefusedDelivery",
    "RegistryEvent",
    "RegistryToken",
    "Removal",
    "RemovalLine",
    "RemovalPreview",
    "RemovalStep",
    "RepositoryManifest",
    "RetentionPolicy",
    "Stallable",
    "Tag",
    "TagClaim",
    "TagHistoryEntry",
    "TokenDecision",
    "TrashedTag",
    "UTCDateTime",
    "UnassignedRepository",
    "UnmovedTag",
    "UnseenSecret",
    "User",
    "WaitingPull",
    "WriteFreeze",
    "utc_now",
]
