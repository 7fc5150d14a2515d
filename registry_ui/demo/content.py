"""What `make demo` creates: the table to read and to change.

Names are invented. Order matters: each line may rely on those above it. ``by``
is the account that does it, one that holds just the role for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from . import samples
from .images import Manifest

ADMIN = "admin"  # stands for the administrator, whatever their name is

#: Who gets an account, and what the samples show with it.
ACCOUNTS: Mapping[str, str] = {
    "owner": "Owner of orchard",
    "maintainer": "Maintainer in orchard",
    "developer": "Developer in orchard; pushes with an access token",
    "reporter": "Reporter in orchard/platform; pulls",
    "guest": "Guest in orchard/ledger; sees it and pulls nothing",
    "stranger": "no role anywhere",
}


@dataclass(frozen=True, slots=True)
class Place:
    """A namespace (no visibility) or a project."""

    path: str
    description: str
    by: str
    visibility: str = ""


@dataclass(frozen=True, slots=True)
class Member:
    """A role of an account in a namespace or project."""

    path: str
    username: str
    role: str
    by: str


@dataclass(frozen=True, slots=True)
class Sample:
    """Something to push: tags of one image and what each means.

    ``name`` is what follows the project's path; "" is the root image.
    """

    what: str
    project: str
    name: str
    tags: Callable[[], Mapping[str, Manifest]]
    by: str

    @property
    def repository(self) -> str:
        """The repository in the registry."""
        return f"{self.project}/{self.name}" if self.name else self.project


PUBLIC, INTERNAL, PRIVATE = "orchard/shop", "orchard/platform/runtime", "orchard/ledger"
EMPTY, PERSONAL = "orchard/platform/seedling", "developer/scratch"

STEPS: tuple[Place | Member, ...] = (
    Place("orchard", "A fruit grower's software, invented for this demonstration.", ADMIN),
    Member("orchard", "owner", "owner", ADMIN),
    Member("orchard", "maintainer", "maintainer", "owner"),
    Member("orchard", "developer", "developer", "owner"),
    Place("orchard/platform", "What every team builds on.", "maintainer"),
    Member("orchard/platform", "reporter", "reporter", "owner"),
    Place(PUBLIC, "The shop that anyone may look at and pull.", "maintainer", "public"),
    Place(INTERNAL, "Base images and agents, for all who sign in.", "maintainer", "internal"),
    Place(PRIVATE, "The books. Members only.", "owner", "private"),
    Member(PRIVATE, "guest", "guest", "owner"),
    Place(EMPTY, "Nothing was pushed here yet: the page tells how.", "maintainer", "private"),
    Place(PERSONAL, "A developer's own project.", "developer", "private"),
)

#: The access token with which `developer` pushes, made on their profile page.
TOKEN_BY, TOKEN_NAME = "developer", "demo laptop"
TOKEN_SCOPES = ("read_registry", "write_registry")

SAMPLES: tuple[Sample, ...] = (
    # First, so that "recent pushes" shows the others too.
    Sample("300 tags", INTERNAL, "agent", samples.agent, "developer"),
    Sample("root image", PUBLIC, "", samples.storefront, "developer"),
    Sample("image two levels deep", INTERNAL, "python/web", samples.web, "developer"),
    Sample(
        "image four levels deep", INTERNAL, "jobs/mail/outgoing/retry", samples.retry, "developer"
    ),
    Sample("Docker schema 2, with history", PUBLIC, "backend", samples.backend_tags, "developer"),
    Sample("two tags on one digest", PUBLIC, "worker", samples.worker, "developer"),
    Sample("OCI image with annotations", PUBLIC, "frontend", samples.frontend, "developer"),
    Sample("three platforms, attested", INTERNAL, "base", samples.base, "maintainer"),
    Sample("cosign signature", PUBLIC, "backend", samples.backend_signature, "maintainer"),
    Sample("helm chart", PUBLIC, "charts/shop", samples.shop_chart, "maintainer"),
    Sample("files that are no image", PUBLIC, "labels", samples.labels, "developer"),
    Sample("image of a private project", PRIVATE, "api", samples.ledger, "owner"),
    Sample("image of a personal project", PERSONAL, "try/out", samples.scratch, "developer"),
)
