"""Validation of requests to copy tags, made through a form or the API, and plans for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ..access import Principal
from ..audit import Actor
from ..db.session import db
from ..errors import Denied, Invalid
from ..models import ContainerImage, Copy, Project
from ..names import NameInvalid, RepositoryName, TagName, is_trash_tag, subject_of
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
        image: name of the target image in the project; empty for the root image, whose repository
            is the project's path.
        tag: new name for the copied tag at the target; empty to keep the name.
        chosen: names of the tags to copy; if empty, every tag that matches ``q`` is copied.
        q: filter text for tags; if both ``chosen`` and ``q`` are empty, all tags are copied.
        attached: whether referrers, such as signatures, are copied, too.
    """

    project: str
    image: str
    tag: str = ""
    chosen: Iterable[str] = field(default_factory=tuple)
    q: str = ""
    attached: bool = True


def plan_copy_form(
    form: CopyForm, image: ContainerImage, project: Project, principal: Principal, actor: Actor
) -> Copy:
    """Plan a copy of tags of an image, and store the plan; nothing is copied yet.

    Args:
        form: the input of the form.
        image: the source.
        project: the target's project.
        principal: the requester, whose permissions are checked.
        actor: the requester, for the audit log.

    Raises:
        Invalid: the input cannot be used, or the requester is not allowed to pull from the source
            or push to the target; the errors are listed by form field.
        Conflict: no tag can be read, because the tags are damaged in the registry.
        NotFound: the registry has none of the tags.
        RegistryUnreachable: the registry cannot be reached, or accepts no pushes.
    """
    target = _parse_target(project, form.image)
    tags = _select_tags(image, form)
    owner = image.path.removesuffix(f"/{image.name}") if image.name else image.path
    request = CopyRequest(
        _kind_from_form(form), image.path, owner, project, target, tags, form.attached
    )
    return _save_planned(request, principal, actor)


def plan_unassigned(
    form: CopyForm,
    repository: RepositoryName,
    project: Project,
    principal: Principal,
    actor: Actor,
) -> Copy:
    """Plan a copy of all tags of a repository that no project owns, and store the plan.

    Args:
        form: the input of the form; only ``image`` and ``attached`` are used.
        repository: the source.
        project: the target's project.
        principal: the requester, whose permissions are checked.
        actor: the requester, for the audit log.

    Raises:
        Invalid: the target cannot be used, or the requester is not allowed to pull from the source
            or push to the target; the errors are listed by form field.
        NotFound: a project owns the repository, or the registry has no tags of it.
        Conflict: no tag can be read, because the tags are damaged in the registry.
        RegistryUnreachable: the registry cannot be reached, or accepts no pushes.
    """
    require_unassigned(db.session(), repository)
    target = _parse_target(project, form.image)
    tags = {tag: tag for tag in tags_of_unassigned(repository)}
    request = CopyRequest("image", str(repository), "", project, target, tags, form.attached)
    return _save_planned(request, principal, actor)


def _save_planned(request: CopyRequest, principal: Principal, actor: Actor) -> Copy:
    target = str(request.target)
    try:
        require(db.session(), principal, request.source, target)
    except Denied as error:
        raise Invalid("Nothing was planned.", {"project": error.message}) from None
    plan = plan_copy(request, acting_role(db.session(), actor.name, target))
    return service.save_plan(actor, request, plan)


def _kind_from_form(form: CopyForm) -> str:
    chosen = list(form.chosen)
    if not chosen and not form.q:
        return "image"
    return "tag" if len(chosen) == 1 else "tags"


def _parse_target(project: Project, name: str) -> RepositoryName:
    name = name.strip().strip("/")
    try:
        return RepositoryName(f"{project.path}/{name}" if name else project.path)
    except NameInvalid as error:
        raise Invalid("Nothing was planned.", {"image": str(error)}) from None


def _select_tags(image: ContainerImage, form: CopyForm) -> dict[str, str]:
    """Return the tags of an image that a form selects, each mapped to its name at the target.

    Raises:
        Invalid: no tags match, or a new name is given for several tags or is not allowed.
    """
    chosen = list(form.chosen)
    names = choose(image, Criteria(names=chosen, q="" if chosen else form.q))
    if not names:
        raise Invalid("No tags match. Nothing was planned.")
    tags = {tag: tag for tag in names}
    if form.tag and len(tags) == 1:
        tags = dict.fromkeys(tags, _parse_tag_name(form.tag.strip()))
    elif form.tag:
        message = "Only a single tag can have another name at the target."
        raise Invalid("Nothing was planned.", {"tag": message})
    return tags


def _parse_tag_name(text: str) -> str:
    try:
        tag = str(TagName(text))
    except NameInvalid as error:
        raise Invalid("Nothing was planned.", {"tag": str(error)}) from None
    if is_trash_tag(tag) or subject_of(tag) is not None:
        message = "Names like this are reserved for the trash and for signatures."
        raise Invalid("Nothing was planned.", {"tag": message})
    return tag
