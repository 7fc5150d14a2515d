"""Check that the ports are free before the launcher starts the processes that listen on them."""

from __future__ import annotations

import errno
import socket

from . import LaunchError

#: Both loopback addresses, because ``localhost`` in a client can resolve to either one.
LOOPBACKS = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
NO_SUCH_ADDRESS = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


def require_free_ports(ports: dict[str, int]) -> None:
    """Check that servers can listen on all of the ports.

    Args:
        ports: the ports, by the name of the setting that chooses them.

    Raises:
        LaunchError: a port is in use, not allowed, or chosen by two settings.
    """
    settings: dict[int, str] = {}
    for setting, port in ports.items():
        if port in settings:
            raise LaunchError(f"{settings[port]} and {setting} are both {port}: change one of them")
        settings[port] = setting
        for family, address in LOOPBACKS:
            _require_free(family, address, port, setting)


def _require_free(family: socket.AddressFamily, address: str, port: int, setting: str) -> None:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # The servers also set this option. Without it, connections that linger after a stop
            # would make the port look busy.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except OSError as error:
        if error.errno in NO_SUCH_ADDRESS:
            return
        if error.errno == errno.EADDRINUSE:
            problem = f"port {port} is taken by another program"
        else:
            problem = f"port {port} cannot be used ({error.strerror})"
        raise LaunchError(
            f"{problem}. Free it, or choose another: {setting}={port + 1} make run"
        ) from None
