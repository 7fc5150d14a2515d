"""Gunicorn's settings: gunicorn --config deploy/gunicorn.conf.py wsgi:app (from the checkout)."""

import gc
import socket
import struct
import sys
import time
from typing import Any

from gunicorn.glogging import Logger
from gunicorn.workers.gthread import ThreadWorker

from config import Config
from registry_ui.http.admission import THREADS
from registry_ui.processes import end_with_parent

# A reverse proxy stands in front of it where others than this machine may come in.
bind = f"127.0.0.1:{Config.from_environ().port}"
workers = 2
#: Pages and passwords can't take all of them: registry_ui/admission.py.
threads = THREADS
keepalive = 15
timeout = 60
graceful_timeout = 8
#: Seconds that a thread waits for a client that has gone silent in the middle of a request.
#: One that sends a byte now and then still holds a thread: see docs/administrators.md.
SILENCE = 10
#: Seconds after which a thread hands the interpreter on when others wait; Python's own 0.005
#: leaves both cores idle at times, while requests of microseconds wait (`make bench-token`).
TURN = 0.0002
#: New objects before Python looks for rings among them; its own 700 is a few requests.
LOOK_FOR_RINGS = 50_000


#: Seconds that a worker leaves a new connection to the others, for each that it has itself,
#: and at most.
HESITATION, LONGEST = 0.0002, 0.001


class FairWorker(ThreadWorker):
    """A worker of threads that leaves new connections to those which have fewer.

    Otherwise the first to wake takes all that come at once, and as connections are kept,
    one core goes on alone with them: a third of the requests in a second.
    """

    def accept(self, listener: Any) -> None:
        """Take a connection, unless another did meanwhile."""
        time.sleep(min(self.nr_conns * HESITATION, LONGEST))
        super().accept(listener)


class PlainLogger(Logger):
    """An access log in which a path cannot pretend to be a line or a colour of its own."""

    def atoms(self, resp: Any, req: Any, environ: Any, request_time: Any) -> dict[str, Any]:
        """Return what a line may show, with the path in plain ASCII."""
        atoms: dict[str, Any] = super().atoms(resp, req, environ, request_time)
        return atoms | {"U": atoms["U"].encode("unicode_escape").decode("ascii")}


worker_class = FairWorker

# Neither %(r)s nor headers: query strings and Authorization may hold secrets.
accesslog = "-"
access_log_format = '%(t)s %(h)s "%(m)s %(U)s" %(s)s %(B)s %(M)sms'
logger_class = PlainLogger
loglevel = "warning"
control_socket_disable = True
# By default any program on this machine moves a request to another path, by a header.
forwarder_headers = ""


def post_fork(_server: Any, worker: Any) -> None:
    """Let no worker outlive its master, however that ends."""
    end_with_parent(worker.ppid)
    sys.setswitchinterval(TURN)


def post_worker_init(worker: Any) -> None:
    """Have the templates ready, and let Python's collector pass over what is there by now."""
    templates = worker.wsgi.jinja_env
    for name in templates.list_templates():
        templates.get_template(name)
    gc.collect()
    gc.freeze()
    gc.set_threshold(LOOK_FOR_RINGS)


def when_ready(server: Any) -> None:
    """Let accepted connections inherit the patience of the socket that they come in by."""
    patience = struct.pack("@ll", SILENCE, 0)
    for listener in server.LISTENERS:
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            listener.setsockopt(socket.SOL_SOCKET, option, patience)
