"""Admin pages for garbage collections of the registry: explain, start, watch, and cancel.

A garbage collection frees the storage of deleted content. During a collection, pushes and deletions
are refused (write freeze). A dry run only reports which blobs would be deleted.
"""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ..garbage_collection import service as garbage_collection
from ..http.identity import actor, administrators_only
from ..jobs.queue import enqueue

blueprint = Blueprint("collections", __name__, url_prefix="/-/admin/garbage-collection")
blueprint.before_request(administrators_only)


@blueprint.get("")
def overview() -> str:
    """Show the page that explains garbage collection and lists the latest collections."""
    rows = garbage_collection.latest()
    return render_template(
        "admin_garbage_collections.html",
        command=garbage_collection.command(),
        rows=rows,
        active=next((row for row in rows if row.is_active), None),
        forecast=garbage_collection.forecast(rows),
    )


@blueprint.get("/begin")
def confirm() -> str:
    """Show the page to confirm a garbage collection, which stops all pushes and deletions."""
    rows = garbage_collection.latest()
    ended = [row for row in rows if row.state == "done"]
    return render_template(
        "admin_garbage_collection_begin.html",
        command=garbage_collection.command(),
        active=next((row for row in rows if row.is_active), None),
        forecast=garbage_collection.forecast(rows),
        tried=ended[0] if ended and ended[0].dry_run else None,
    )


@blueprint.post("")
def begin() -> Response:
    """Request a garbage collection or a dry run, and let a worker carry it out."""
    row = garbage_collection.begin(actor(), dry_run=request.form.get("dry_run") == "1")
    enqueue("run_collection", row.id)
    return redirect(url_for("collections.show", collection_id=row.id))


@blueprint.get("/<int(max=2147483647):collection_id>")
def show(collection_id: int) -> str:
    """Show the progress or the report of a garbage collection."""
    row = garbage_collection.one(collection_id)
    return render_template("admin_garbage_collection.html", row=row)


@blueprint.post("/<int(max=2147483647):collection_id>/cancel")
def cancel(collection_id: int) -> Response:
    """Cancel a garbage collection, and wake up operations that wait for its write freeze."""
    garbage_collection.cancel(actor(), collection_id)
    enqueue("resume_stored_work")
    return redirect(url_for("collections.show", collection_id=collection_id))
