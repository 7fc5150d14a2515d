"""A small browser: it opens pages, fills in their forms, and reads what they answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import quote, urlencode, urljoin, urlsplit

import requests

Fields = Mapping[str, str | Sequence[str]]
_VOID = frozenset({"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "wbr"})


class SiteError(Exception):
    """A page refused what was asked, in its own words, or the site does not answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class Form:
    """A form of a page: where it goes and what it would send untouched."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)


class Page(HTMLParser):
    """An answer of the site, parsed.

    ``messages`` are what the page marks as an error, ``words`` its heading and
    paragraphs, ``code`` its commands and secrets.
    """

    def __init__(self, answer: requests.Response) -> None:
        super().__init__(convert_charrefs=True)
        self.url = answer.url
        self.status = answer.status_code
        self.body = answer.text
        self.forms: list[Form] = []
        self.links: set[str] = set()
        self.texts: dict[str, list[str]] = {"messages": [], "words": [], "code": []}
        self._open: list[tuple[str, str, list[str]]] = []
        self.feed(self.body)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note forms, fields and links, and begin to collect the text of what matters."""
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            action = urljoin(self.url, given.get("action", ""))
            self.forms.append(Form(action, given.get("method", "get").upper()))
        elif self.forms and given.get("name"):
            self.forms[-1].names.add(given["name"])
            if given.get("type") == "hidden":
                self.forms[-1].fields[given["name"]] = given.get("value", "")
        elif tag == "a" and "href" in given:
            self.links.add(urlsplit(urljoin(self.url, given["href"])).path)
        if tag not in _VOID:
            self._open.append((tag, _kind(tag, given), []))

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost element of this name and file its text."""
        while any(name == tag for name, _, _ in self._open):
            name, kind, parts = self._open.pop()
            text = " ".join("".join(parts).split())
            if kind and text:
                self.texts[kind].append(text)
            if name == tag:
                return

    def handle_data(self, data: str) -> None:
        """Give text to every element around it that collects."""
        for _, kind, parts in self._open:
            if kind:
                parts.append(data)

    def form(self, *names: str) -> Form:
        """Return the POST form that has all these fields; raise SiteError if there is none."""
        for form in self.forms:
            if form.method == "POST" and form.names.issuperset(names):
                return form
        raise SiteError(f"{self.url} ({self.status}) has no form with {', '.join(names)}.")

    @property
    def reason(self) -> str:
        """Why the page refused, in its own words."""
        found = self.texts["messages"] or [t for t in self.texts["words"] if not t.isdigit()][:2]
        return " ".join(dict.fromkeys(found)) or f"it answered {self.status} without a word"


def _kind(tag: str, given: Mapping[str, str]) -> str:
    """Return which of a page's texts this element belongs to; "" for none."""
    if given.get("role") == "alert" or "error" in given.get("class", "").split():
        return "messages"
    return {"h1": "words", "p": "words", "code": "code"}.get(tag, "")


class Site:
    """One person in one browser: a session with cookies, signed in or not."""

    def __init__(self, base_url: str, timeout: float = 15.0) -> None:
        self.base_url = base_url
        self.username = ""
        self.timeout = timeout
        self._session = requests.Session()
        # A proxy or a ~/.netrc of the environment has no say between us and localhost.
        self._session.trust_env = False
        self._session.headers["Accept"] = "text/html"

    def get(self, path: str) -> Page:
        """Open a page of the site; an error page is a page too."""
        return self._send("GET", self.base_url + path)

    def submit(self, path: str, fields: Fields) -> Page:
        """Open a page, fill in its form that has these fields, send it, follow it.

        Raises SiteError where the page has no such form or refuses what was sent.
        """
        page = self.get(path)
        if page.status != 200:
            raise SiteError(f"{path}: {page.reason}", page.status)
        form = page.form(*fields)
        answer = self._send("POST", form.action, {**form.fields, **fields})
        if answer.status >= 400:
            raise SiteError(f"{path}: {answer.reason}", answer.status)
        return answer

    def sign_in(self, username: str, password: str) -> None:
        """Sign in; raise SiteError for a wrong name or password."""
        self.submit("/-/sign-in", {"username": username, "password": password})
        self.username = username

    def create_user(self, username: str, password: str) -> bool:
        """Create an account, as an administrator. Returns False if there is one already."""
        return self._create("/-/admin/users", {"username": username, "password": password})

    def create_namespace(self, path: str, description: str) -> bool:
        """Create a namespace. Returns False if the path is taken already."""
        return self._create_place("namespace", path, {"description": description})

    def create_project(self, path: str, description: str, visibility: str) -> bool:
        """Create a project. Returns False if the path is taken already."""
        fields = {"description": description, "visibility": visibility}
        return self._create_place("project", path, fields)

    def add_member(self, path: str, username: str, role: str) -> bool:
        """Add a member to a namespace or project. Returns False if they are one already."""
        return self._create(f"/{path}/-/members", {"username": username, "role": role})

    def create_access_token(self, name: str, scopes: Sequence[str], prefix: str) -> str:
        """Create an access token on the profile page and return the secret shown there, once.

        ``prefix`` is how the secret begins; raises SiteError if the page shows none.
        """
        page = self.submit("/-/profile", {"name": name, "scopes": scopes})
        for text in page.texts["code"]:
            if text.startswith(prefix) and " " not in text:
                return text
        raise SiteError(f"The profile page shows no new access token: {page.reason}")

    def _create_place(self, kind: str, path: str, fields: Fields) -> bool:
        parent, _, name = path.rpartition("/")
        query = urlencode({"parent": parent})
        return self._create(f"/-/new/{kind}?{query}", {"parent": parent, "name": name, **fields})

    def _create(self, path: str, fields: Fields) -> bool:
        try:
            self.submit(path, fields)
        except SiteError as error:
            if error.status == 409:
                return False
            raise
        return True

    def _send(self, method: str, url: str, fields: Fields | None = None) -> Page:
        try:
            # Redirects are followed as a browser does: the next request is a GET.
            answer = self._session.request(method, url, data=fields, timeout=self.timeout)
        except requests.RequestException as error:
            raise SiteError(
                f"The site at {self.base_url} does not answer ({type(error).__name__})."
            ) from error
        return Page(answer)


def image_page(project: str, name: str, tag: str = "") -> str:
    """Return the path of an image's page, or of one of its tags (name ``""``: the root image)."""
    below = f"/-/images/{name}" if name else ""
    if not tag:
        return f"/{project}{below or '/-/images'}"
    return f"/{project}{below}/-/tags/{quote(tag)}"
