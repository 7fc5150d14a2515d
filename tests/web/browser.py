"""A browser of the web tests: cookies, CSRF tokens, and signing in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from itsdangerous import URLSafeTimedSerializer
from werkzeug.test import TestResponse

from registry_ui.accounts import sessions
from registry_ui.db.session import db, writing
from registry_ui.models import User

PASSWORD = "correct horse battery"


@dataclass
class Browser:
    """A browser with its own cookies. ``post`` sends the right CSRF token by itself."""

    app: Flask
    client: FlaskClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = self.app.test_client()

    def get(self, url: str, **more: Any) -> TestResponse:
        return self.client.get(url, buffered=True, **more)

    def post(self, url: str, data: dict[str, Any] | None = None, **more: Any) -> TestResponse:
        return self.client.post(url, data={"csrf_token": self.csrf(), **(data or {})}, **more)

    def submit(self, url: str, data: dict[str, Any] | None = None) -> TestResponse:
        """Send a form and go where its answer leads, as a browser does."""
        answer = self.post(url, data)
        return self.get(answer.headers["Location"]) if answer.status_code == 302 else answer

    def csrf(self) -> str:
        """A token as the hidden field of a form of this browser holds it."""
        with self.client.session_transaction() as session:
            raw = session.setdefault("csrf_token", "0" * 40)
        return str(URLSafeTimedSerializer(self.app.secret_key, salt="wtf-csrf-token").dumps(raw))

    def be(self, user: User) -> None:
        """Have signed in, without the work of a password hash."""
        with self.app.app_context():
            with writing() as transaction:
                key = sessions.begin(transaction, user).get_id()
            db.session.remove()
        with self.client.session_transaction() as session:
            session["_user_id"], session["_fresh"] = key, True

    def sign_in(self, username: str, password: str = PASSWORD, **more: Any) -> TestResponse:
        """Sign in by the form."""
        return self.post("/-/sign-in", {"username": username, "password": password, **more})

    def is_signed_in(self) -> bool:
        return self.get("/-/profile").status_code == 200
