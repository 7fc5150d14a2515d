"""``make run``: run the registry, the web app, and the worker together, until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping
from functools import partial

from honcho.environ import parse_procfile

from config import PREFIX, ROOT, Config

from ..files import private_directory
from ..processes import end_with_parent
from . import LaunchError
from .application import Prepared, forget_first_start, prepare
from .binary import Registry, find_registry
from .gate import find_nginx, write_gate_files
from .keys import ensure_signing_key
from .lock import RunLock
from .ports import require_free_ports
from .ready import registry_trouble, unready
from .registry import connecting_snippet, token_auth, with_collector, write_registry_files
from .settings import read_settings, save_settings
from .summary import other_registry, summary
from .supervise import Supervisor

START_TIMEOUT = 60.0
FOREIGN_PROCESSES = frozenset({"registry", "gate"})
#: Command of the web app with a debugger and a reloader, for development only. The host is given
#: here so that FLASK_RUN_HOST can't change it, because the debugger runs any code that it receives.
DEVELOPMENT_WEB = (
    "exec .venv/bin/python -m flask --app wsgi run --debug --host 127.0.0.1 --port {port}"
)
say = partial(print, flush=True)


def main() -> int:
    """Run the launcher until Ctrl-C, and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m registry_ui.launch", description=__doc__)
    parser.add_argument(
        "--end-with-parent", action="store_true", help="stop when the caller (make) is gone"
    )
    parser.add_argument(
        "--develop", action="store_true", help="reload the pages when a file changes; debugger"
    )
    arguments = parser.parse_args()
    if arguments.end_with_parent:
        end_with_parent(os.getppid())
    os.umask(0o077)
    try:
        run(os.environ, develop=arguments.develop)
    except (LaunchError, OSError) as error:
        sys.stdout.flush()
        print(f"\nmake run: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def run(environ: Mapping[str, str], *, develop: bool = False) -> None:
    """Start all processes, and return after a signal to stop.

    Args:
        environ: the environment variables that hold the settings.
        develop: run the web app with a debugger, and restart it when a file changes.

    Raises:
        LaunchError: a process can't be started, or has ended by itself.
    """
    config = read_settings(environ)
    lock = RunLock(config.var / "run.lock")
    lock.acquire()
    ensure_signing_key(config.token_key_file, config.token_certificate_file)
    registry = _find_own_registry(config, environ)
    if registry:
        environ = with_collector(environ, config, registry)
    nginx = find_nginx() if registry and config.gate else None
    require_free_ports(required_ports(config, registry))
    save_settings(config, environ)
    prepared = prepare(config, environ.get(PREFIX + "ADMIN_PASSWORD"))
    _write_files(config, registry, nginx, prepared)

    supervisor = Supervisor(private_directory(config.var / "log"), lock.descriptor)
    try:
        lines = commands(config, environ, registry)
        if develop:
            lines["web"] = (DEVELOPMENT_WEB.format(port=config.port), lines["web"][1])
        supervisor.start(lines)
        if wait_until_ready(config, supervisor, registry):
            _show_summary(config, prepared, registry)
            while not supervisor.stop_wanted(timeout=60):
                require_all_alive(supervisor)
    finally:
        say("Stopping")
        lock.record_ending()
        supervisor.stop()
        if registry:
            registry.remove_container()


def _find_own_registry(config: Config, environ: Mapping[str, str]) -> Registry | None:
    """Return the registry to start; None if the settings name an external one."""
    if environ.get(PREFIX + "REGISTRY_URL"):
        return None
    return find_registry(config.var, (token_auth(config).certificate,), say)


def _write_files(
    config: Config, registry: Registry | None, nginx: str | None, prepared: Prepared
) -> None:
    """Write the configurations and start scripts of the registry and of the gate's nginx."""
    if registry:
        write_registry_files(config, registry, prepared.registry_token)
    if nginx:
        write_gate_files(config, nginx)


def _show_summary(config: Config, prepared: Prepared, registry: Registry | None) -> None:
    """Print addresses and first steps, and how to connect an external registry if necessary.

    Afterward, the password of the first administrator is not shown again.
    """
    if not registry and (trouble := registry_trouble(config)):
        snippet = connecting_snippet(config, prepared.registry_token)
        say(other_registry(trouble, config, snippet))
    say(summary(config, prepared, registry.description if registry else None))
    forget_first_start(config)


def required_ports(config: Config, registry: Registry | None) -> dict[str, int]:
    """Return the ports that the processes listen on, each by the name of the setting for it."""
    ports = {PREFIX + "PORT": config.port}
    if registry:
        ports[PREFIX + "REGISTRY_PORT"] = config.registry_port
        if config.gate:
            ports[PREFIX + "REGISTRY_BACKEND_PORT"] = config.registry_backend_port
    return ports


def commands(
    config: Config, environ: Mapping[str, str], registry: Registry | None
) -> dict[str, tuple[str, dict[str, str]]]:
    """Return the commands of the Procfile by process name, each with its environment.

    The registry and the gate's nginx get no settings of registry_ui except REGISTRY_UI_VAR: the
    registry reads every variable that begins with REGISTRY_ as its own, and nginx needs none.
    """
    procfile = parse_procfile((ROOT / "Procfile").read_text()).processes
    if registry is None:
        del procfile["registry"]
    if registry is None or not config.gate:
        del procfile["gate"]
    var_setting = {PREFIX + "VAR": str(config.var)}
    own_environ = {k: v for k, v in environ.items() if k != PREFIX + "ADMIN_PASSWORD"}
    own_environ |= var_setting | {"PYTHONUNBUFFERED": "1"}
    foreign_environ = {k: v for k, v in environ.items() if not k.startswith(PREFIX)} | var_setting
    return {
        name: (command, foreign_environ if name in FOREIGN_PROCESSES else own_environ)
        for name, command in procfile.items()
    }


def wait_until_ready(config: Config, supervisor: Supervisor, registry: Registry | None) -> bool:
    """Wait until all processes answer.

    Returns:
        True, or False if a signal to stop arrived first.

    Raises:
        LaunchError: a process ended, or did not answer in time.
    """
    say("Starting", *(["the registry,"] if registry else []), "the pages and the worker")
    deadline = time.monotonic() + START_TIMEOUT
    while problems := unready(config, own_registry=registry is not None):
        require_all_alive(supervisor)
        if time.monotonic() > deadline:
            raise LaunchError("\n".join([*problems, supervisor.last_words()]))
        if supervisor.stop_wanted(timeout=0.1):
            return False
    return True


def require_all_alive(supervisor: Supervisor) -> None:
    """Raise LaunchError with the end of its log if one of the processes has ended by itself."""
    if child := supervisor.ended():
        raise LaunchError(f"{child.name} {child.end}. {child.last_words}")


if __name__ == "__main__":
    sys.exit(main())
