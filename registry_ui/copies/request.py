"""What a form or a program asks to be copied, read and checked: for pages and the API."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ..access import Right
from ..audit import Actor
from ..db.session import db
from ..errors import Denied, Invalid, NotFound
from ..http.loaders import load, load_image, principal, registry_host
from ..models import ContainerImage, Copy, Project
from ..names import NameInvalid, RepositoryName, TagName, is_binned
from ..tags.rows import subject_of
from ..tags.selection import Criteria, choose
from . import service as copies
from .authorization import acting_role, require
from .plan import Wish
from .planner import plan_copy
from .unassigned import require_unassigned, tags_of_unassigned

NO_PROJECT = "There is no such project, or you may not see it."


@dataclass(frozen=True, slots=True)
class Asked:
    """What was typed: texts that nobody has checked.

    ``project`` and ``image`` say where to, ``tag`` under which name, "" for its own; no
    ``chosen`` means every tag that contains ``q``.
    """

    project: str
    image: str
    tag: str = ""
    chosen: Iterable[str] = field(default_factory=tuple)
    q: str = ""
    attached: bool = True


def plan_asked(path: str, name: str, asked: Asked, actor: Actor) -> Copy:
    """Plan what was asked for, and store the plan; nothing is copied yet.

    Args:
        path: the project of the source.
        name: the image of the source.

    Raises:
        Invalid: something of it can't be used; by field.
        Denied: the caller may not pull at the source.
        NotFound: there is no such image, or they may not see it.
        RegistryTrouble: the registry can't be asked.
    """
    loaded, image = load_image(path, name, Right.PULL)
    project = _project(asked.project)
    target = _target(project, asked.image)
    source = (image.path, loaded.project.path)
    tags = _tags(image, asked)
    return _plan(Wish(_kind(asked), *source, project, target, tags, asked.attached), actor)


def plan_unassigned(repository: RepositoryName, asked: Asked, actor: Actor) -> Copy:
    """Plan a copy of all tags of a repository that no project owns, and store the plan.

    Raises:
        Invalid: the target can't be used; by field.
        NotFound: the repository is not unassigned, or has no tags.
        RegistryTrouble: the registry can't be asked.
    """
    require_unassigned(db.session(), repository)
    project = _project(asked.project)
    target = _target(project, asked.image)
    tags = {tag: tag for tag in tags_of_unassigned(repository)}
    return _plan(Wish("image", str(repository), "", project, target, tags, asked.attached), actor)


def _plan(wish: Wish, actor: Actor) -> Copy:
    target = str(wish.target)
    try:
        require(db.session(), principal(), wish.source, target)
    except Denied as error:
        raise Invalid("Nothing was planned.", {"project": error.message}) from None
    plan = plan_copy(wish, acting_role(db.session(), actor.name, target))
    return copies.keep_plan(actor, wish, plan)


def _kind(asked: Asked) -> str:
    chosen = list(asked.chosen)
    if not chosen and not asked.q:
        return "image"
    return "tag" if len(chosen) == 1 else "tags"


def _project(text: str) -> Project:
    path = text.strip().removeprefix(f"{registry_host()}/").strip("/")
    try:
        return load(str(RepositoryName(path)), Right.PUSH).project
    except (NameInvalid, NotFound):
        message = NO_PROJECT if path else "Say which project."
        raise Invalid("Nothing was planned.", {"project": message}) from None
    except Denied as error:
        raise Invalid("Nothing was planned.", {"project": error.message}) from None


def _target(project: Project, name: str) -> RepositoryName:
    name = name.strip().strip("/")
    try:
        return RepositoryName(f"{project.path}/{name}" if name else project.path)
    except NameInvalid as error:
        raise Invalid("Nothing was planned.", {"image": str(error)}) from None


def _tags(image: ContainerImage, asked: Asked) -> dict[str, str]:
    """Return the tags that are meant, each with its name at the target."""
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
