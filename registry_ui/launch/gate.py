"""nginx in front of the registry of this run.

Before a request changes a manifest, nginx asks the gate: the endpoint of registry_ui that checks
protection rules and write freezes.
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil

from config import Config

from ..files import private_directory, write_private
from . import LaunchError

#: Search path for nginx. Debian installs nginx in a directory that is only on root's PATH.
NGINX_SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
NO_NGINX = (
    "REGISTRY_UI_GATE is yes, and there is no nginx on this machine to ask the gate. Do one of "
    "these and try again: apt install nginx-light; or run without REGISTRY_UI_GATE, and "
    "protection rules are only watched"
)


def find_nginx() -> str:
    """Return the path of the nginx program.

    Raises:
        LaunchError: nginx is not installed; the message says what to do.
    """
    program = shutil.which("nginx", path=NGINX_SEARCH_PATH)
    if program is None:
        raise LaunchError(NO_NGINX)
    return program


def write_gate_files(config: Config, nginx: str) -> None:
    """Write the configuration ``var/gate/nginx.conf`` and the start script ``var/gate/run``.

    Args:
        config: the settings of this run.
        nginx: the path of the nginx program.
    """
    directory = private_directory(config.var / "gate")
    file = directory / "nginx.conf"
    owner = pwd.getpwuid(os.getuid()).pw_name
    text = FRAME.replace("SERVER", GATED)
    values = {
        "DIRECTORY": str(directory),
        # By default, the workers of an nginx that root started switch to a user who can't enter
        # this directory.
        "USER": f"user {owner};" if os.getuid() == 0 else "",
        "LISTEN": f"127.0.0.1:{config.registry_port}",
        "PAGES": f"127.0.0.1:{config.port}",
        "REGISTRY": f"127.0.0.1:{config.registry_backend_port}",
        # The path is relative, because the path of a Unix socket is limited to about 100 bytes.
        # The directory is private, so no other user can connect.
        "INNER": "unix:inner.sock",
    }
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    write_private(file, text)
    # Also set the error log with -e, because nginx logs to its default file until it has read
    # the configuration.
    command = [nginx, "-e", "stderr", "-p", str(directory), "-c", str(file)]
    script = RUN_SCRIPT.format(directory=shlex.quote(str(directory)), command=shlex.join(command))
    write_private(directory / "run", script)


RUN_SCRIPT = """\
#!/bin/sh
# Runs the gate's nginx. Written at each start of `make run`.
cd {directory} || exit
# An nginx that was killed leaves its socket, and the next one could not listen there.
rm -f inner.sock
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

#: The nginx configuration that docs/administrators.md shows, except for names and addresses.
#: It has two servers, because nginx asks the gate before it reads a request body: the first server
#: receives a whole manifest, so that the second one asks the gate after its last byte.
GATED = r"""
    upstream registry {
        server @REGISTRY@;
    }
    upstream gated {
        server @INNER@;
    }
    # Reads and blob uploads at plain addresses go straight to the registry, the rest by the gate.
    map "$request_method $request_uri" $next {
        default gated;
        "~^(GET|HEAD|OPTIONS|POST|PATCH) " registry;
        "~^(PUT|DELETE) /v2/[a-z0-9._/-]+/blobs/uploads/[A-Za-z0-9_=-]+([?]|$)" registry;
    }
    map $next $writer {
        default "";
        gated $binary_remote_addr;
    }
    limit_conn_zone $writer zone=writers:10m;

    # Receives a manifest whole, 4 MiB at most, before anyone is asked about it.
    server {
        listen @LISTEN@;
        client_max_body_size 4m;
        client_body_timeout 10s;
        default_type application/json;

        proxy_http_version 1.1;
        proxy_buffering off;
        proxy_read_timeout 900s;
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-Host $http_host;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Received-In $request_time;
        error_page 413 = @too_large;
        error_page 429 = @too_many;

        location / {
            limit_conn writers 100;
            limit_conn_status 429;
            proxy_request_buffering on;
            proxy_pass http://$next;
        }
        location ~ "^/v2/[a-z0-9._/-]+/blobs/uploads/[A-Za-z0-9_=-]*$" {
            if ($next = gated) {
                return 403 '{"errors":[{"code":"DENIED","message":"no plain address"}]}';
            }
            client_max_body_size 0;
            client_body_timeout 60s;
            proxy_request_buffering off;
            proxy_pass http://registry;
        }
        location @too_large {
            internal;
            return 413 '{"errors":[{"code":"SIZE_INVALID","message":"over 4 MiB"}]}';
        }
        location @too_many {
            internal;
            return 429 '{"errors":[{"code":"TOOMANYREQUESTS","message":"too many pushes"}]}';
        }
    }

    # The seconds that the first server took to receive the request: fewer than 60, or too many.
    map $http_x_received_in $too_slow {
        default 1;
        "~^[0-5]?[0-9][.]" 0;
    }
    map $gate_words $gate_message {
        default $gate_words;
        "" "the gate does not answer: try again, or tell an administrator";
    }
    # Asks the gate, and hands on at once what is here already. Reached by the first server only.
    server {
        listen @INNER@;
        client_max_body_size 4m;
        client_body_timeout 5s;
        default_type application/json;

        location / {
            if ($too_slow) {
                return 408 '{"errors":[{"code":"DENIED","message":"too slow: over 60 seconds"}]}';
            }
            auth_request /-/gate;
            auth_request_set $gate_words $upstream_http_x_gate_message;
            auth_request_set $gate_challenge $upstream_http_www_authenticate;
            error_page 401 = @unproven;
            error_page 403 = @denied;
            error_page 500 = @unknown;

            proxy_pass http://registry;
            proxy_http_version 1.1;
            proxy_connect_timeout 5s;
            proxy_send_timeout 5s;
            proxy_read_timeout 900s;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Received-In "";
        }
        location = /-/gate {
            internal;
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
