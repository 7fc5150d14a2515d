"""nginx in front of the registry of this run: it asks the gate before manifests change."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil

from config import Config

from ..files import private_directory, write_private
from . import LaunchError

#: Debian puts it where only root's PATH leads.
PLACES = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
NO_NGINX = (
    "REGISTRY_UI_GATE is yes, and there is no nginx on this machine to ask the gate. Do one of "
    "these and try again: apt install nginx-light; or run without REGISTRY_UI_GATE, and "
    "protection rules are only watched"
)


def find_nginx() -> str:
    """Return where nginx is.

    Raises:
        LaunchError: there is none; the message says what to do.
    """
    found = shutil.which("nginx", path=PLACES)
    if found is None:
        raise LaunchError(NO_NGINX)
    return found


def write_gate_files(config: Config, nginx: str) -> None:
    """Write ``var/gate/nginx.conf``, and ``run`` beside it."""
    directory = private_directory(config.var / "gate")
    file = directory / "nginx.conf"
    owner = pwd.getpwuid(os.getuid()).pw_name
    text = FRAME.replace("SERVER", GATED)
    values = {
        "DIRECTORY": str(directory),
        # As root it would give up its rights, and then could not read what is ours alone.
        "USER": f"user {owner};" if os.getuid() == 0 else "",
        "LISTEN": f"127.0.0.1:{config.registry_port}",
        "PAGES": f"127.0.0.1:{config.port}",
        "REGISTRY": f"127.0.0.1:{config.registry_backend_port}",
    }
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    write_private(file, text)
    # Named by -e as well: before it reads its configuration, it would write elsewhere.
    command = [nginx, "-e", "stderr", "-p", str(directory), "-c", str(file)]
    write_private(directory / "run", RUN.format(command=shlex.join(command)))


RUN = """\
#!/bin/sh
# Runs the gate's nginx. Written at each start of `make run`.
exec {command}
"""

FRAME = """\
# Written at each start of `make run`.
@USER@
daemon off;
worker_processes 1;
pid @DIRECTORY@/nginx.pid;
error_log stderr error;
events {
    worker_connections 1024;
}
http {
    access_log off;
    client_body_temp_path @DIRECTORY@/body;
    proxy_temp_path @DIRECTORY@/proxy;
    fastcgi_temp_path @DIRECTORY@/fastcgi;
    uwsgi_temp_path @DIRECTORY@/uwsgi;
    scgi_temp_path @DIRECTORY@/scgi;
    server_tokens off;
SERVER
}
"""

#: What docs/administrators.md shows for an nginx of one's own, but for names and addresses.
GATED = r"""
    # What need not be asked about: reading, and blobs by plain addresses.
    map "$request_method $request_uri" $ask_gate {
        default 1;
        "~^(GET|HEAD|OPTIONS|POST|PATCH) " 0;
        "~^(PUT|DELETE) /v2/[a-z0-9._/-]+/blobs/uploads/[A-Za-z0-9_=-]+([?]|$)" 0;
        "~^DELETE /v2/[a-z0-9._/-]+/blobs/[a-z0-9]+:[0-9a-f]+$" 0;
    }
    map $gate_words $gate_message {
        default $gate_words;
        "" "the gate does not answer: try again, or tell an administrator";
    }
    server {
        listen @LISTEN@;
        client_max_body_size 0;
        default_type application/json;

        location / {
            auth_request /-/gate;
            auth_request_set $gate_words $upstream_http_x_gate_message;
            auth_request_set $gate_challenge $upstream_http_www_authenticate;
            error_page 401 = @unproven;
            error_page 403 = @denied;
            error_page 500 = @unknown;

            proxy_pass http://@REGISTRY@;
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_buffering off;
            proxy_read_timeout 900s;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-For $remote_addr;
        }
        location = /-/gate {
            internal;
            if ($ask_gate = 0) {
                return 204;
            }
            proxy_pass http://@PAGES@/gate/manifest;
            # Nothing of what the client sends reaches the gate but what is set here.
            proxy_pass_request_headers off;
            proxy_pass_request_body off;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Content-Length "";
            proxy_set_header Host $host;
            proxy_set_header Authorization $http_authorization;
            proxy_set_header X-Original-Method $request_method;
            proxy_set_header X-Original-URI $request_uri;
        }
        location @unproven {
            internal;
            return 401 '{"errors":[{"code":"UNAUTHORIZED","message":"$gate_message"}]}';
        }
        location @denied {
            internal;
            return 403 '{"errors":[{"code":"DENIED","message":"$gate_message"}]}';
        }
        location @unknown {
            internal;
            return 503 '{"errors":[{"code":"UNAVAILABLE","message":"$gate_message"}]}';
        }
    }
"""
