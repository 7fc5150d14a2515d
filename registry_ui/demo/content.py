"""The table of everything that `make demo` creates.

All names are invented. Order matters, because a line can depend on the lines above it.
``by`` is the user name of the account that creates the item. The account has only the role that
creating the item requires.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from . import samples
from .images import Manifest

ADMIN = "admin"  # Stands for the administrator, whose actual user name is a setting.

#: Accounts to create, by user name, with a description for people.
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
    """A namespace or a project to create. The ``visibility`` of a namespace is empty."""

    path: str
    description: str
    by: str
    visibility: str = ""


@dataclass(frozen=True, slots=True)
class Member:
    """A membership to create: the role of an account in the namespace or project ``path``."""

    path: str
    username: str
    role: str
    by: str


@dataclass(frozen=True, slots=True)
class Sample:
    """An image to push, with its tags.

    ``title`` describes the sample for people. ``name`` is the part of the repository name after
    the project's path; "" if they are the same. ``tags`` returns the manifests by tag.
    """

    title: str
    project: str
    name: str
    tags: Callable[[], Mapping[str, Manifest]]
    by: str

    @property
    def repository(self) -> str:
        """The name of the repository in the registry."""
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

#: The user name of the account that pushes with an access token, and that token's name and scopes.
TOKEN_BY, TOKEN_NAME = "developer", "demo laptop"
TOKEN_SCOPES = ("read_registry", "write_registry")

SAMPLES: tuple[Sample, ...] = (
    # Pushed first, so that its 300 tags don't fill "recent pushes" and hide the other samples.
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
