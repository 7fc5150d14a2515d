"""Validate and plan copies requested through a form or the API."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ..access import Principal
from ..audit import Actor
from ..db.session import db
from ..errors import Denied, Invalid
from ..models import ContainerImage, Copy, Project
from ..names import NameInvalid, RepositoryName, TagName, is_binned, subject_of
from ..tags.selection import Criteria, choose
from . import service
from .authorization import acting_role, require
from .plan import CopyRequest
from .planner import plan_copy
from .unassigned import require_unassigned, tags_of_unassigned


@dataclass(frozen=True, slots=True)
class CopyForm:
    """The unvalidated input of a copy form.

    Attributes:
        project: path of the target's project.
        image: name of the target image in that project; empty for the root image.
        tag: name of the tag at the target; empty to keep its name.
        chosen: tags to copy; if empty, every tag that contains ``q``.
        q: search text; if it is empty too, all tags are copied.
        attached: whether referrers are copied too.
    """

    project: str
    image: str
    tag: str = ""
    chosen: Iterable[str] = field(default_factory=tuple)
    q: str = ""
    attached: bool = True


def plan_copy_form(
    asked: CopyForm, image: ContainerImage, project: Project, principal: Principal, actor: Actor
) -> Copy:
    """Plan a copy of tags of an image and store the plan; nothing is copied yet.

    Args:
        asked: the input of the form.
        image: the source, which the principal is allowed to pull.
        project: the target's project, which the principal is allowed to push to.
        principal: the requester's permissions.
        actor: the requester, for the audit log.

    Raises:
        Invalid: the input cannot be used; the errors are listed by field.
        Conflict, NotFound: none of the tags can be read.
        RegistryUnreachable: the registry cannot be reached.
    """
    target = _target(project, asked.image)
    tags = _tags(image, asked)
    owner = image.path.removesuffix(f"/{image.name}") if image.name else image.path
    wish = CopyRequest(_kind(asked), image.path, owner, project, target, tags, asked.attached)
    return _plan(wish, principal, actor)


def plan_unassigned(
    asked: CopyForm,
    repository: RepositoryName,
    project: Project,
    principal: Principal,
    actor: Actor,
) -> Copy:
    """Plan a copy of all tags of a repository that no project owns, and store the plan.

    Args:
        asked: the input of the form.
        repository: the source.
        project: the target's project, which the principal is allowed to push to.
        principal: the requester's permissions.
        actor: the requester, for the audit log.

    Raises:
        Invalid: the target cannot be used; the errors are listed by field.
        NotFound: the repository is not unassigned, or has no tags.
        Conflict: none of the tags can be read.
        RegistryUnreachable: the registry cannot be reached.
    """
    require_unassigned(db.session(), repository)
    target = _target(project, asked.image)
    tags = {tag: tag for tag in tags_of_unassigned(repository)}
    wish = CopyRequest("image", str(repository), "", project, target, tags, asked.attached)
    return _plan(wish, principal, actor)


def _plan(wish: CopyRequest, principal: Principal, actor: Actor) -> Copy:
    target = str(wish.target)
    try:
        require(db.session(), principal, wish.source, target)
    except Denied as error:
        raise Invalid("Nothing was planned.", {"project": error.message}) from None
    plan = plan_copy(wish, acting_role(db.session(), actor.name, target))
    return service.save_plan(actor, wish, plan)


def _kind(asked: CopyForm) -> str:
    chosen = list(asked.chosen)
    if not chosen and not asked.q:
        return "image"
    return "tag" if len(chosen) == 1 else "tags"


def _target(project: Project, name: str) -> RepositoryName:
    name = name.strip().strip("/")
    try:
        return RepositoryName(f"{project.path}/{name}" if name else project.path)
    except NameInvalid as error:
        raise Invalid("Nothing was planned.", {"image": str(error)}) from None


def _tags(image: ContainerImage, asked: CopyForm) -> dict[str, str]:
    """Return the requested tags, each mapped to its name at the target."""
    chosen = list(asked.chosen)
    found = choose(image, Criteria(names=chosen, q="" if chosen else asked.q))
    if not found:
        raise Invalid("No tags match. Nothing was planned.")
    tags = {tag: tag for tag in found}
    if asked.tag and len(tags) == 1:
        tags = dict.fromkeys(tags, _name(asked.tag.strip()))
    elif asked.tag:
        message = "Only a single tag can have another name at the target."
        raise Invalid("Nothing was planned.", {"tag": message})
    return tags


def _name(text: str) -> str:
    try:
        tag = str(TagName(text))
    except NameInvalid as error:
        raise Invalid("Nothing was planned.", {"tag": str(error)}) from None
    if is_binned(tag) or subject_of(tag) is not None:
        message = "Names like this are kept for the bin, and for what signs an image."
        raise Invalid("Nothing was planned.", {"tag": message})
    return tag
