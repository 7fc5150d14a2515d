"""Create and push everything that `content` lists, each item as the account in its ``by`` field.

A second run keeps the items that already exist, and creates the missing ones.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from config import Config

from .content import ACCOUNTS, ADMIN, SAMPLES, STEPS, TOKEN_BY, TOKEN_NAME, TOKEN_SCOPES, Place
from .push import RegistryClient, RegistryError
from .site import Site, SiteError

TOKEN_PREFIX = "rui_"  # noqa: S105 - how every access token begins


class SecretsError(Exception):
    """The file with the secrets of the sample accounts can't be read or written."""


@dataclass(slots=True)
class Secrets:
    """Passwords and access tokens of the sample accounts, kept in a file of mode 0600.

    Without the file, a second run could not sign in to the accounts of the first run.
    """

    file: Path
    passwords: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, file: Path) -> Secrets:
        """Return the secrets in the file; no secrets if the file does not exist.

        Raises:
            SecretsError: the file can't be read or parsed.
        """
        try:
            stored = json.loads(file.read_text()) if file.exists() else {}
            return cls(file, dict(stored.get("passwords", {})), dict(stored.get("tokens", {})))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise SecretsError(
                f"{file} can't be read ({error}). Delete it, and try again."
            ) from None

    def save(self) -> None:
        """Write the file, readable by its owner only; raise SecretsError if that fails."""
        stored = {"passwords": self.passwords, "tokens": self.tokens}
        temporary_file = self.file.with_suffix(".new")
        try:
            temporary_file.unlink(missing_ok=True)
            temporary_file.touch(mode=0o600)
            temporary_file.write_text(json.dumps(stored, indent=2) + "\n")
            temporary_file.replace(self.file)
        except OSError as error:
            raise SecretsError(f"{self.file} can't be written ({error}).") from error


@dataclass(slots=True)
class Filling:
    """One run of `make demo`, with a signed-in browser for each account.

    Attributes:
        config: the settings of the running system.
        admin_password: the password of the administrator.
        secrets: the secrets of the sample accounts.
        say: called with each line of progress.
    """

    config: Config
    admin_password: str = field(repr=False)
    secrets: Secrets
    say: Callable[[str], None]
    _sites: dict[str, Site] = field(default_factory=dict)

    def run(self) -> None:
        """Create and push everything.

        Raises:
            SiteError: a page refused a request.
            RegistryError: the registry or the token endpoint refused a request.
        """
        self.say(f"Signing in as {self.config.admin_username} at {self.config.public_url}")
        self._sites[ADMIN] = self._sign_in(self.config.admin_username, self.admin_password)
        self._create_accounts()
        self._create_places()
        self._push_samples()

    def site(self, username: str) -> Site:
        """Return the browser of an account, or the administrator's if this run can't sign in.

        The user name ``""`` stands for a visitor who has not signed in.
        """
        if username not in self._sites:
            if username:
                return self._sites[ADMIN]
            self._sites[""] = Site(self.config.public_url)
        return self._sites[username]

    def knows(self, username: str) -> bool:
        """Return whether this run is signed in as the account."""
        return username in self._sites

    def registry(self, username: str) -> RegistryClient:
        """Return a registry client for an account, with its access token or else its password.

        If this run is not signed in as the account, the client is the administrator's. The user
        name ``""`` stands for an anonymous client.
        """
        if not username:
            name, password = "", ""
        elif username == ADMIN or not self.knows(username):
            name, password = self.config.admin_username, self.admin_password
        else:
            name = username
            password = self.secrets.tokens.get(username) or self.secrets.passwords[username]
        return RegistryClient(
            self.config.registry_url, name, password, trusted=self.config.public_url
        )

    def access_token(self, username: str) -> str:
        """Return an account's access token: one of an earlier run if still valid, or a new one."""
        token = self.secrets.tokens.get(username)
        if not token or not self._is_valid_token(username, token):
            # Forget a token that does not work, so that registry() uses the password instead.
            self.secrets.tokens.pop(username, None)
            token = self.site(username).create_access_token(TOKEN_NAME, TOKEN_SCOPES, TOKEN_PREFIX)
            self.secrets.tokens[username] = token
            self.secrets.save()
        return token

    def _sign_in(self, username: str, password: str) -> Site:
        site = Site(self.config.public_url)
        site.sign_in(username, password)
        return site

    def _is_valid_token(self, username: str, token: str) -> bool:
        client = RegistryClient(
            self.config.registry_url, username, token, trusted=self.config.public_url
        )
        challenge = client.challenge()
        try:
            return challenge is not None and bool(client.token(challenge, ""))
        except RegistryError as error:
            if error.status == 401:
                return False
            raise

    def _create_accounts(self) -> None:
        self.say("Accounts")
        for username in ACCOUNTS:
            self.say(f"  {username}: {self._create_account(username)}")
        if self.knows(TOKEN_BY):
            self.access_token(TOKEN_BY)

    def _create_account(self, username: str) -> str:
        """Create an account if it does not exist, sign in, and return the outcome as a message."""
        password = self.secrets.passwords.get(username)
        new_password = password or secrets.token_urlsafe(12)
        # Save the password before it is used, so that a later run can still sign in to the account
        # if this run is interrupted.
        self._save_password(username, new_password)
        is_new = self.site(ADMIN).create_user(username, new_password)
        if is_new:
            password = new_password
        elif not password:
            self._save_password(username, None)
        try:
            if password:
                self._sites[username] = self._sign_in(username, password)
                return "made" if is_new else "already there"
        except SiteError as error:
            if is_new or error.status != 401:
                raise
            self._save_password(username, None)
        return "already there, with a password not known here: the administrator stands in"

    def _save_password(self, username: str, password: str | None) -> None:
        self.secrets.passwords.pop(username, None)
        if password:
            self.secrets.passwords[username] = password
        self.secrets.save()

    def _create_places(self) -> None:
        self.say("Groups, projects and members")
        for step in STEPS:
            site = self.site(step.by)
            if not isinstance(step, Place):
                is_new = site.add_member(step.path, step.username, step.role)
                subject = f"{step.username} as {step.role.capitalize()} of {step.path}"
            elif step.visibility:
                is_new = site.create_project(step.path, step.description, step.visibility)
                subject = f"{step.visibility} project {step.path}"
            else:
                is_new = site.create_namespace(step.path, step.description)
                subject = f"group {step.path}"
            outcome = f"made by {site.username}" if is_new else "already there"
            self.say(f"  {subject}: {outcome}")

    def _push_samples(self) -> None:
        if self.registry("").challenge() is None:
            raise RegistryError(
                f"The registry at {self.config.registry_url} asks nobody for a token: "
                "it is not connected to this site, so its rights would mean nothing."
            )
        self.say("Images")
        clients: dict[str, RegistryClient] = {}
        for sample in SAMPLES:
            client = clients.setdefault(sample.by, self.registry(sample.by))
            tags = sample.tags()
            changed = client.push(sample.repository, tags)
            outcome = f"pushed by {client.username}" if changed else "already there"
            self.say(f"  {sample.repository}, {sample.title}: {outcome}")
