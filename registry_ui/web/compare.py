"""Page that compares any two tags, also of different images and projects."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from flask import Blueprint, render_template, request, url_for

from ..access import Permission
from ..access.lookup import find_old_path, owning_project
from ..comparison.candidates import candidate_tags
from ..comparison.page import Comparison, compare
from ..comparison.side import Side, locate
from ..db.session import db
from ..errors import Denied, NotFound
from ..http.identity import registry_host
from ..http.loaders import load_image
from ..http.query_args import page_number, search_text
from ..models import ContainerImage
from ..names import Digest, NameInvalid, Reference, RepositoryName, TagName
from ..pagination import Page
from ..reference_parser import AnotherRegistry, parse_pasted

blueprint = Blueprint("compare", __name__)

#: Names of the two sides of a comparison in the query string.
SIDES = ("from", "to")
NO_SUCH_TAG = "There is no such tag here, or you may not see it."


@dataclass(slots=True)
class _CompareForm:
    """A requested comparison of two tags or digests, and the errors found while resolving it.

    The keys of each mapping are the sides ``from`` and ``to``. ``texts`` has the text of both
    sides; ``references``, ``images``, and ``sides`` get an entry when a side is resolved.
    """

    texts: dict[str, str]
    references: dict[str, Reference] = field(default_factory=dict)
    images: dict[str, ContainerImage] = field(default_factory=dict)
    sides: dict[str, Side] = field(default_factory=dict)
    #: Error message for a side whose reference seems to start with the host of a different
    #: registry. The message is shown only if this registry has no such tag.
    hosts: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    status: int = 200

    def refuse(self, side: str, message: str, status: int) -> None:
        """Record an error message for a side; the response has the highest status of all errors."""
        self.errors[side] = message
        self.status = max(self.status, status) if self.status != 200 else status


@blueprint.get("/-/compare")
def show() -> tuple[str, int]:
    """Compare two references (``from`` and ``to``); if one is missing, list tags to choose from."""
    form = _CompareForm({side: request.args.get(side, "").strip() for side in SIDES})
    _parse_references(form)
    for side in form.references:
        _resolve_side(form, side, live=len(form.references) == len(SIDES))
    comparison = None
    if len(form.sides) == len(SIDES) and not form.errors:
        platforms = (request.args.get("from_platform", ""), request.args.get("to_platform", ""))
        comparison = compare(form.sides["from"], form.sides["to"], platforms)
    page = render_template(
        "compare.html",
        texts=form.texts,
        errors=form.errors,
        comparison=comparison,
        choice=None if comparison else _find_other_tags(form),
        **_variables_from_comparison(comparison),
    )
    return page, form.status


def _parse_references(form: _CompareForm) -> None:
    """Parse both references; a bare tag or digest refers to the image of the other reference."""
    for side, text in form.texts.items():
        if "/" in text:
            _parse_reference(form, side, text, None)
    for side, other_side in zip(SIDES, reversed(SIDES), strict=True):
        text = form.texts[side]
        if text and "/" not in text:
            other_reference = form.references.get(other_side)
            _parse_reference(form, side, text, other_reference.name if other_reference else None)


def _parse_reference(
    form: _CompareForm, side: str, text: str, image: RepositoryName | None
) -> None:
    try:
        reference = (
            _parse_image_reference(image, text) if image else parse_pasted(text, registry_host())
        )
    except AnotherRegistry as error:
        if error.reference is None:
            form.refuse(side, str(error), 422)
            return
        reference, form.hosts[side] = error.reference, str(error)
    except NameInvalid as error:
        form.refuse(side, str(error), 422)
        return
    if reference.tag is None and reference.digest is None:
        reference = Reference(reference.name, TagName("latest"))
    form.references[side] = reference


def _parse_image_reference(image: RepositoryName, text: str) -> Reference:
    text = text.lstrip(":@")
    if ":" in text:
        return Reference(image, digest=Digest(text))
    return Reference(image, TagName(text))


def _resolve_side(form: _CompareForm, side: str, *, live: bool) -> None:
    """Find the image of one side, or record an error if the caller can't pull the image.

    Args:
        form: the requested comparison.
        side: one of SIDES.
        live: whether to look up the tag or digest in the registry, too.
    """
    reference = form.references[side] = _replace_old_path(form.references[side])
    try:
        form.images[side] = _load_image(reference.name)
        if live:
            form.sides[side] = locate(form.images[side], reference)
    except NotFound:
        form.refuse(side, form.hosts.get(side, NO_SUCH_TAG), NotFound.status)
    except Denied as error:
        form.refuse(side, error.message, error.status)


def _replace_old_path(reference: Reference) -> Reference:
    """Replace the old path of a moved image by its current path, for which access is checked."""
    old_path = find_old_path(db.session(), str(reference.name))
    return replace(reference, name=RepositoryName(old_path.new_path)) if old_path else reference


def _load_image(name: RepositoryName) -> ContainerImage:
    """Return the image of a repository, if the caller can pull it.

    Raises:
        NotFound: there is no such image, or the caller can't see it.
        Denied: the caller can see the image, but can't pull it.
    """
    project = owning_project(db.session(), str(name))
    # Timing side channel: if no project owns the name, load_image() raises NotFound after the
    # same queries as for a hidden project.
    path = project.path if project else str(name)
    _, image = load_image(path, name.below(path), Permission.PULL)
    return image


@dataclass(frozen=True, slots=True)
class OtherTag:
    """A tag that can be chosen for the missing side of a comparison.

    ``is_same`` is True if the tag has the same digest as the given side. ``url`` is the address of
    the comparison.
    """

    name: str
    is_same: bool
    url: str


def _find_other_tags(form: _CompareForm) -> dict[str, Any] | None:
    """Return the tags to choose from if only one side of the comparison is given.

    Returns:
        Template variables: the path of the given side's ``image``, and its other ``tags``. None if
        both sides or no side is given, or if the image of the given side could not be loaded.
    """
    for side, other_side in zip(SIDES, reversed(SIDES), strict=True):
        if side in form.images and not form.texts[other_side]:
            reference, image = form.references[side], form.images[side]
            tags = [
                OtherTag(name, is_same, _make_url(side, str(reference), f"{image.path}:{name}"))
                for name, is_same in candidate_tags(image, reference)
            ]
            return {"image": image.path, "tags": tags}
    return None


def _make_url(side: str, reference: str, other: str) -> str:
    """Return the address of a comparison.

    Args:
        side: the side of ``reference``, one of SIDES.
        reference: the reference of this side.
        other: the reference of the opposite side.
    """
    before, after = (reference, other) if side == "from" else (other, reference)
    sides: dict[str, Any] = {"from": before, "to": after}
    return url_for("compare.show", **sides)


def _variables_from_comparison(comparison: Comparison | None) -> dict[str, Any]:
    """Return template variables: the search text, and a page of the differences in packages."""
    q = search_text()
    if comparison is None or comparison.packages is None:
        return {"q": q, "packages": [], "page": None}
    packages = comparison.packages.matching(q)
    page = Page.of(page_number(), len(packages))
    return {"q": q, "packages": page.cut(packages), "page": page}
