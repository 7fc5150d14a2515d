"""Pages for the content of a tag: downloads of its manifest and config, and its SBOM."""

from __future__ import annotations

from flask import Blueprint, Response, render_template, request

from ..access import Permission
from ..artifacts.sbom import PER_PAGE, package_table
from ..http.loaders import load_image
from ..http.query_args import crumbs, page_number
from ..names import TagName
from ..pagination import Page
from ..projects import listing
from ..tag_detail import config_bytes, manifest_bytes, sbom_view

blueprint = Blueprint("content", __name__)

#: Value of the query argument ``type`` that selects the packages of an SBOM without a type.
NO_TYPE = "-"


@blueprint.get("/<name:path>/-/tags/<tag:tag>/-/manifest", defaults={"name": ""})
@blueprint.get("/<name:path>/-/images/<name:name>/-/tags/<tag:tag>/-/manifest")
def manifest(path: str, name: str, tag: str) -> Response:
    """Download the unchanged manifest of a tag, or of the platform in the query string."""
    _, row = load_image(path, name, Permission.PULL)
    body = manifest_bytes(row, TagName(tag), request.args.get("platform", ""))
    return _make_attachment(body, path, name, f"{tag}-manifest.json")


@blueprint.get("/<name:path>/-/tags/<tag:tag>/-/config", defaults={"name": ""})
@blueprint.get("/<name:path>/-/images/<name:name>/-/tags/<tag:tag>/-/config")
def config(path: str, name: str, tag: str) -> Response:
    """Download the unchanged image config of a tag, or of the platform in the query string."""
    _, row = load_image(path, name, Permission.PULL)
    body = config_bytes(row, TagName(tag), request.args.get("platform", ""))
    return _make_attachment(body, path, name, f"{tag}-config.json")


@blueprint.get("/<name:path>/-/tags/<tag:tag>/-/sbom", defaults={"name": ""})
@blueprint.get("/<name:path>/-/images/<name:name>/-/tags/<tag:tag>/-/sbom")
def sbom(path: str, name: str, tag: str) -> str:
    """List the packages in the SBOM of a tag, or of the platform in the query string."""
    loaded, row = load_image(path, name, Permission.PULL)
    platform = request.args.get("platform", "")
    view = sbom_view(row, TagName(tag), platform)
    q, kind = request.args.get("q", "").strip()[:128], request.args.get("type", "")[:40]
    number, table = page_number(), None
    if view.packages is not None:
        package_type = {"": None, NO_TYPE: ""}.get(kind, kind)
        table = package_table(view.packages, q, package_type, number)
    return render_template(
        "sbom.html",
        project=loaded.project,
        crumbs=crumbs(path),
        image=listing.image_row(row),
        tag=tag,
        table=table,
        page=Page.of(number, table.total, PER_PAGE) if table else None,
        q=q,
        kind=kind,
        digest=platform,
        platform=view.platform,
        fresh_at=view.fresh_at,
        error=view.error,
        can=loaded.can,
    )


def _make_attachment(body: bytes, path: str, name: str, file: str) -> Response:
    """Return a JSON response that browsers save as a file, so that they never run its content.

    Args:
        body: content of the response.
        path: path of the project.
        name: name of the image below the project; empty for the root image.
        file: end of the suggested file name, which starts with the last segment of the image.
    """
    image = (name or path).rpartition("/")[2]
    headers = {"Content-Disposition": f'attachment; filename="{image}-{file}"'}
    return Response(body, mimetype="application/json", headers=headers)
