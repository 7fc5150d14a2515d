"""Setup of an application's job queue and its tasks."""

from __future__ import annotations

from flask import Flask

from . import executors
from .executors import in_app
from .heartbeat import start_heartbeat
from .queue import make_queue
from .schedule import periodic_tasks
from .tasks import TASKS


def init_app(app: Flask) -> None:
    """Create the app's job queue, and register the tasks, the schedule, and the heartbeat."""
    executors.init_app(app)
    settings = app.config["SETTINGS"]
    huey = make_queue(settings)
    huey.immediate = settings.testing
    app.extensions["huey"] = huey
    app.extensions["tasks"] = {
        name: huey.task(name=name)(in_app(app, work)) for name, work in TASKS.items()
    }
    for name, (work, schedule) in periodic_tasks(settings.reconcile_interval).items():
        huey.periodic_task(schedule, name=f"periodic_{name}")(in_app(app, work))
    huey.on_startup(name="heartbeat")(lambda: start_heartbeat(app))
