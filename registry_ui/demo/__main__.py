"""`make demo`: fill a running site and registry with samples, as users would do it over HTTP."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
import time
from functools import partial

import requests

from config import Config, ConfigError

from .content import ACCOUNTS, SAMPLES
from .fill import Filling, Secrets, SecretsError
from .push import RegistryError
from .site import SiteError, image_page
from .verify import verify

EPILOG = """\
`make run` must be running. The administrator's password, which `make run` printed once,
is taken from REGISTRY_UI_ADMIN_PASSWORD, from standard input with --password-stdin, or
asked for. A second run goes on where the first one ended; what is there is left alone.
Passwords of the accounts that it makes are printed, and kept in demo.json in the
directory of REGISTRY_UI_VAR. Exit status: 0 all is there, 1 something was refused or
is not as it should be, 2 nothing could be tried.
"""


class NotRunning(Exception):
    """The site is not ready, or the administrator's password is missing.

    The message says what to do.
    """


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m registry_ui.demo",
        description="Fill a running system with sample users, groups, projects and images.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--password-stdin",
        action="store_true",
        help="read the administrator's password from standard input",
    )
    parser.add_argument(
        "--wait",
        type=float,
        default=30,
        metavar="SECONDS",
        help="how long to wait for the last event to be shown (default: 30)",
    )
    return parser.parse_args(argv)


def admin_password(config: Config, *, from_stdin: bool) -> str:
    """Return the administrator's password from stdin, the environment, or the terminal.

    Raises:
        NotRunning: no password was given.
    """
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    elif environ_password := os.environ.get("REGISTRY_UI_ADMIN_PASSWORD"):
        password = environ_password
    elif sys.stdin.isatty():
        password = _ask_password(config.admin_username)
    else:
        password = ""
    if not password:
        raise NotRunning(
            f"The password of {config.admin_username} is needed: set REGISTRY_UI_ADMIN_PASSWORD, "
            "or run `.venv/bin/python -m registry_ui.demo --password-stdin` with it as input."
        )
    return password


def _ask_password(username: str) -> str:
    """Ask for a password on the terminal; return "" at the end of the input (Ctrl-D)."""
    try:
        return getpass.getpass(f"Password of {username} (`make run` printed it): ")
    except EOFError:
        print(file=sys.stderr)  # End the line of the prompt.
        return ""


def wait_until_ready(config: Config, timeout: float) -> None:
    """Wait until the site reports that all its parts are ready.

    Raises:
        NotRunning: the site does not answer, or is not ready after ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    with requests.Session() as session:
        session.trust_env = False
        while True:
            try:
                response = session.get(config.public_url + "/readyz", timeout=5)
                problem = f"It answers, but is not ready: {response.text.strip()[:500]}"
                if response.status_code == 200:
                    return
            except requests.RequestException:
                raise NotRunning(
                    f"Nothing answers at {config.public_url}. "
                    "Start `make run` in another terminal, then try again."
                ) from None
            if time.monotonic() > deadline:
                raise NotRunning(f"{config.public_url}: {problem}")
            time.sleep(0.3)


def summary(filling: Filling) -> str:
    """Return the text that lists each sample's URL, and each account's password if known."""
    site = filling.config.public_url
    lines = ["", "What is where"]
    width = max(len(sample.title) for sample in SAMPLES)
    for sample in SAMPLES:
        tag = list(sample.tags())[-1]
        address = image_page(sample.project, sample.name, tag)
        lines.append(f"  {sample.title:{width}}  {site}{address}")
    lines += ["", f"Accounts, at {site}/-/sign-in"]
    for username, description in ACCOUNTS.items():
        password = filling.secrets.passwords.get(username, "not known here")
        lines.append(f"  {username:10}  {password:16}  {description}")
    lines.append(f"  The passwords are kept in {filling.secrets.file}.")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Create and push the samples, verify the result, and return the exit status."""
    options = parse_arguments(argv)
    try:
        config = Config.from_environ()
        wait_until_ready(config, 15)
        account_secrets = Secrets.load(config.var / "demo.json")
        password = admin_password(config, from_stdin=options.password_stdin)
    except (ConfigError, NotRunning, SecretsError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    filling = Filling(config, password, account_secrets, partial(print, flush=True))
    try:
        filling.run()
        print("Looking at it as different people")
        problems = verify(filling, options.wait)
    except (SiteError, RegistryError, SecretsError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    print(summary(filling))
    for problem in problems:
        print(f"demo: not as it should be: {problem}", file=sys.stderr)
    if not problems:
        print("\nEverything is at its place.")
    if unknown_users := [name for name in ACCOUNTS if not filling.knows(name)]:
        print(f"Not looked at as {', '.join(unknown_users)}: their passwords are not known here.")
    return 1 if problems else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
