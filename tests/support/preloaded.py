"""The modules that the server of worker processes imports: those of the application and of tests.

The application imports most of its modules when it is made; the server makes none.
"""

from __future__ import annotations

import gc

import gunicorn.app.wsgiapp
import gunicorn.workers.gthread
import huey.consumer

import registry_ui
from registry_ui.http import session_cookie
from tests.contract import collection_process, copy_process, move_process, removal_process
from tests.support import impatient_worker

MODULES = (
    gunicorn.app.wsgiapp,
    gunicorn.workers.gthread,
    huey.consumer,
    *registry_ui._request_modules(),
    *registry_ui._service_modules(),
    *registry_ui._entry_points(),
    session_cookie,
    collection_process,
    copy_process,
    move_process,
    removal_process,
    impatient_worker,
)

# The collector of cycles would visit every module in each forked process, and so copy its memory.
gc.collect()
gc.freeze()
