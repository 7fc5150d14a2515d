"""Gunicorn settings.

Run from the checkout: ``gunicorn --config deploy/gunicorn.conf.py wsgi:app``.
"""

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

# Bind to the loopback address. Other machines connect through a reverse proxy.
bind = f"127.0.0.1:{Config.from_environ().port}"
workers = 2
#: Load the application before the workers are forked: they start at once and share its memory.
preload_app = True
#: Pages and password checks can't use all threads: see registry_ui/http/admission.py.
threads = THREADS
keepalive = 15
timeout = 60
graceful_timeout = 8
#: Timeout in seconds for a client that stops sending in the middle of a request. A client that
#: keeps sending single bytes still occupies a thread: see docs/administrators.md.
SILENCE = 10
#: Interpreter switch interval in seconds. With Python's default of 0.005, both cores are idle at
#: times while requests of microseconds wait (`make bench-token`).
TURN = 0.0002
#: Number of new objects after which Python's garbage collector runs. Its default of 700 is reached
#: within a few requests.
LOOK_FOR_RINGS = 50_000


#: Delay in seconds before a worker accepts a new connection, per connection that the worker already
#: has, and the maximum delay.
HESITATION, LONGEST = 0.0002, 0.001


class FairWorker(ThreadWorker):
    """A threaded worker that leaves new connections to workers that have fewer connections.

    Otherwise the first worker to wake up accepts all connections that arrive at once. Because
    connections are kept alive, one core then serves all of them alone, at a third of the rate.
    """

    def accept(self, listener: Any) -> None:
        """Accept a connection after a short delay, unless a different worker was faster."""
        time.sleep(min(self.nr_conns * HESITATION, LONGEST))
        super().accept(listener)


class PlainLogger(Logger):
    """An access logger in which a request path can't forge lines or send terminal escapes."""

    def atoms(self, resp: Any, req: Any, environ: Any, request_time: Any) -> dict[str, Any]:
        """Return the fields of a log line, with the path escaped to plain ASCII."""
        atoms: dict[str, Any] = super().atoms(resp, req, environ, request_time)
        return atoms | {"U": atoms["U"].encode("unicode_escape").decode("ascii")}


worker_class = FairWorker

# Leave out %(r)s and headers, because query strings and Authorization can contain secrets.
accesslog = "-"
access_log_format = '%(t)s %(h)s "%(m)s %(U)s" %(s)s %(B)s %(M)sms'
logger_class = PlainLogger
loglevel = "warning"
control_socket_disable = True
# Gunicorn's default lets any program on this machine change the path of a request with a header.
forwarder_headers = ""


def post_fork(_server: Any, worker: Any) -> None:
    """Make a worker process end with its master process, and set its thread switch interval."""
    end_with_parent(worker.ppid)
    sys.setswitchinterval(TURN)


def when_ready(server: Any) -> None:
    """Prepare what the workers inherit: the listening sockets, the templates, and the memory."""
    _limit_silence(server.LISTENERS)
    templates = server.app.wsgi().jinja_env
    for name in templates.list_templates():
        templates.get_template(name)
    # Objects that the collector never looks at are never copied for a worker.
    gc.collect()
    gc.freeze()
    gc.set_threshold(LOOK_FOR_RINGS)


def _limit_silence(listeners: list[socket.socket]) -> None:
    """Set the SILENCE timeout on the listening sockets; accepted connections inherit it."""
    patience = struct.pack("@ll", SILENCE, 0)
    for listener in listeners:
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            listener.setsockopt(socket.SOL_SOCKET, option, patience)
