"""The whole product as `make run` starts it: registry with events, pages, worker; all for real."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from sqlalchemy import select

from config import PREFIX, Config
from registry_ui import create_app
from registry_ui.db.session import db
from registry_ui.demo import push
from registry_ui.demo.images import Manifest
from registry_ui.demo.site import Form, Page, Site
from registry_ui.launch import keys, settings
from registry_ui.launch.__main__ import commands
from registry_ui.launch.application import prepare
from registry_ui.launch.binary import Registry
from registry_ui.launch.gate import write_gate_files
from registry_ui.launch.ready import unready
from registry_ui.launch.registry import listening_port, write_registry_files
from registry_ui.models import ContainerImage, Tag
from tests.web.support import PASSWORD
from tests.web.support import Site as Filler

from .forked_programs import start_program
from .processes import Server, free_port, required
from .registry import binary
from .storage import Storage

ADMIN = "admin"
_numbers = itertools.count(1)


class Client(push.RegistryClient):
    """Somebody's registry client, with no more than one request for each thing to push."""

    def put(self, repository: str, tag: str, manifest: Manifest) -> None:
        """Push one manifest with what it names, without looking first what is there."""
        self._push_one(repository, tag, manifest)

    def get(self, path: str, **headers: str) -> requests.Response:
        """Send one request with a bearer token for what the registry asks for it."""
        url = f"{self.base_url}/v2/{path}"
        answer = self._send("GET", url, headers=headers)
        if answer.status_code == 401:
            challenge = push.Challenge.parse(answer.headers["WWW-Authenticate"])
            headers["Authorization"] = f"Bearer {self.token(challenge, challenge.scope)}"
            answer = self._send("GET", url, headers=headers)
        return answer


class Stack:
    """Three processes and their settings. Each can be stopped, killed and started again."""

    def __init__(
        self,
        home: Path,
        storage: Storage,
        version: str,
        *,
        gate: bool = False,
        more: Mapping[str, str] | None = None,
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        database, redis = storage.new_database(home)
        chosen: dict[str, object] = {
            "VAR": home / "var",
            "PORT": free_port(),
            "REGISTRY_PORT": free_port(),
            "DATABASE_URL": database,
            "REDIS_URL": redis or "",
            # A busy machine is not what these tests are about.
            "REGISTRY_TIMEOUT": 60,
        }
        if gate:
            chosen |= {"GATE": "yes", "REGISTRY_BACKEND_PORT": free_port()}
        environ = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        chosen |= more or {}
        environ |= {PREFIX + name: str(value) for name, value in chosen.items()}
        self.version = version
        self.config: Config = settings.read_settings(environ)
        keys.ensure_signing_key(self.config.token_key_file, self.config.token_certificate_file)
        self.registry_token = prepare(self.config, PASSWORD).registry_token
        self._program = Registry(f"registry {version}", (binary(version), "serve"))
        self._lines = commands(self.config, environ, self._program)
        self._running: dict[str, Server] = {}
        self.app = create_app(self.config)
        self.fill = Filler(self.app)
        self.write_registry_files(self.registry_token)
        if gate:
            write_gate_files(self.config, required("nginx"))

    # -- processes ---------------------------------------------------------------

    @property
    def parts(self) -> tuple[str, ...]:
        """The processes, in the order in which they are started and stopped."""
        return tuple(self._lines)

    def environ(self, part: str) -> dict[str, str]:
        """The environment in which a part runs."""
        return self._lines[part][1]

    def start(self, *parts: str) -> None:
        """Start parts, by default all, and wait until they answer."""
        for part in parts or self.parts:
            command, environ = self._lines[part]
            log = self.config.var / f"{part}.log"
            self._running[part] = start_program(command, log, env=environ)
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Wait until everything that runs answers."""
        for part, port in (("registry", listening_port(self.config)), ("web", self.config.port)):
            if part in self._running:
                self._running[part].wait_for_port(port, 60)
        if set(self.parts) == set(self._running):
            self.until(lambda: not unready(self.config, own_registry=True))

    def stop(self, part: str) -> None:
        """Ask a part to end, as Ctrl-C does."""
        self._running.pop(part).stop()

    def kill(self, part: str) -> None:
        """End a part by kill -9. The pages' workers end with their master."""
        process = self._running.pop(part).process
        process.kill()
        process.wait(60)

    def processes_of(self, part: str) -> list[int]:
        """The numbers of the processes that a part has started."""
        parent = self._running[part].process.pid
        return [int(n) for n in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]

    def close(self) -> None:
        """Stop everything, the registry first."""
        for part in self.parts:
            if part in self._running:
                self.stop(part)
        with self.app.app_context():
            db.session.remove()
            db.engine.dispose()
        self.app.extensions["registry_threads"].shutdown(wait=False)

    def until(self, condition: Callable[[], object], seconds: float = 120) -> None:
        """Wait for something; fail with the ends of the logs."""
        end, pause = time.monotonic() + seconds, 0.05
        while not condition():
            assert time.monotonic() < end, f"not within {seconds} s\n{self.logs()}"
            time.sleep(pause)
            # Frequent polling would slow down the process under test.
            pause = min(1.2 * pause, 0.3)

    def logs(self) -> str:
        """The end of every log."""
        files = sorted(self.config.var.glob("*.log"))
        return "\n".join(f"{file.name}:\n{file.read_text()[-1500:]}" for file in files)

    def write_registry_files(self, registry_token: str) -> None:
        """Give the registry this registry token at its next start."""
        write_registry_files(self.config, self._program, registry_token)

    # -- people ------------------------------------------------------------------

    def place(self, visibility: str = "private") -> str:
        """Make a project in a namespace of its own, with a developer; return its path."""
        root = f"group{next(_numbers)}"
        path = f"{root}/team/shop"
        self.fill.project(path, visibility)
        self.fill.user(f"{root}-developer")
        self.fill.member(path, f"{root}-developer", "developer")
        return path

    def maintained_place(self) -> str:
        """Make a project with a developer and a maintainer; return its path."""
        path = self.place()
        self.fill.user(self.maintainer(path))
        self.fill.member(path, self.maintainer(path), "maintainer")
        return path

    def filled_place(self, images: Mapping[str, Mapping[str, Manifest]]) -> str:
        """Make a project, push images as its developer, and wait until the index has them."""
        path = self.place()
        client = self.client(self.developer(path))
        for name, tags in images.items():
            client.push(f"{path}/{name}", tags)
            self.wait_for_tags(path, name, set(tags))
        return path

    def developer(self, project: str) -> str:
        """The name of the developer of a project that place() made."""
        return project.partition("/")[0] + "-developer"

    def maintainer(self, project: str) -> str:
        """The name of the maintainer of a project that maintained_place() made."""
        return project.partition("/")[0] + "-maintainer"

    def client(self, username: str, *scopes: str) -> Client:
        """A registry client of this user, with a new access token; of nobody for ``""``."""
        token = ""
        if username:
            token = self.fill.access_token(username, *(scopes or ("write_registry",)))
        url = f"http://localhost:{self.config.registry_port}"
        return Client(url, username, token, self.config.public_url)

    def site(self, username: str = "", password: str = PASSWORD) -> Person:
        """A browser that this person has signed in with, or a stranger's."""
        person = Person(self.config.public_url)
        if username:
            person.sign_in(username, password)
        return person

    def session_cookie(self, username: str) -> tuple[str, str]:
        """Name and value of the cookie of a browser that this user has signed in with."""
        name = self.app.config["SESSION_COOKIE_NAME"]
        cookie = self.fill.browser(username).client.get_cookie(name)
        assert cookie is not None
        return name, cookie.value

    # -- what there is -----------------------------------------------------------

    def api(self, path: str, username: str = ADMIN) -> requests.Response:
        """Ask the API with an access token, or as nobody."""
        headers = {}
        if username:
            token = self.fill.access_token(username, "read_registry", name="api")
            headers["Authorization"] = f"Bearer {token}"
        with requests.Session() as session:
            session.trust_env = False
            url = f"{self.config.public_url}/api/v4/{path}"
            return session.get(url, headers=headers, timeout=60)

    def tags(self, project: str, name: str) -> dict[str, dict[str, Any]]:
        """The tags of an image as the index has them, by name; of the root image if name is ""."""
        image = f"{project}/-/images/{name}" if name else project
        answer = self.api(f"projects/{image}/-/tags")
        if answer.status_code == 404:
            return {}
        assert answer.status_code == 200, answer.text
        return {tag["name"]: tag for tag in answer.json()["tags"]}

    def wait_for_tags(self, project: str, name: str, tags: set[str], seconds: float = 120) -> None:
        """Wait until the index has all these tags.

        It is read where it is stored: a page would ask the registry, and find them by itself.
        """
        path = f"{project}/{name}" if name else project
        query = select(Tag.name).join(ContainerImage).where(ContainerImage.path == path)

        def are_all_there() -> bool:
            with self.fill.session() as session:
                return tags <= set(session.scalars(query))

        self.until(are_all_there, seconds)


class Person(Site):
    """The small browser of the demonstration, which can press a button too."""

    def press(self, page: str, address: str, field: str = "") -> Page:
        """Open a page and send its form that goes to this address, and has this field."""
        forms: list[Form] = [f for f in self.get(page).forms if f.action.endswith(address)]
        forms = [form for form in forms if not field or field in form.fields]
        assert len(forms) == 1, f"{page} has {len(forms)} forms to {address}"
        return self._send("POST", forms[0].action, forms[0].fields)


@contextmanager
def running(home: Path, storage: Storage, version: str, *, gate: bool = False) -> Iterator[Stack]:
    """A stack that runs, and is stopped at the end; with the gate in front, if it shall be."""
    stack = Stack(home, storage, version, gate=gate)
    try:
        stack.start()
        yield stack
    finally:
        stack.close()
