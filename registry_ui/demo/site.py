"""A small browser for the pages of registry_ui: opens them, submits forms, parses responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import quote, urlencode, urljoin, urlsplit

import requests

Fields = Mapping[str, str | Sequence[str]]
_VOID = frozenset({"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "wbr"})


class SiteError(Exception):
    """A page refused a request, or the site does not answer.

    The message includes the reason that the page shows, if there was a response; ``status`` is
    the HTTP status, 0 if there was none.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class Form:
    """A form of a page.

    ``action`` is the absolute URL to submit the form to, ``method`` is GET or POST, ``fields``
    has the values of the hidden fields by name, and ``names`` the names of all fields.
    """

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)


class Page(HTMLParser):
    """A parsed page of the site, with its forms, links, and texts.

    ``texts`` has three lists: ``messages`` are the texts marked as errors, ``words`` the
    heading and paragraphs, ``code`` the texts of ``<code>`` elements (commands and secrets).
    """

    def __init__(self, response: requests.Response) -> None:
        super().__init__(convert_charrefs=True)
        self.url = response.url
        self.status = response.status_code
        self.body = response.text
        self.forms: list[Form] = []
        self.links: set[str] = set()
        self.texts: dict[str, list[str]] = {"messages": [], "words": [], "code": []}
        self._open: list[tuple[str, str, list[str]]] = []
        self.feed(self.body)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record a form, field, or link, and start to collect the text of the element."""
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form":
            action = urljoin(self.url, attributes.get("action", ""))
            self.forms.append(Form(action, attributes.get("method", "get").upper()))
        elif self.forms and attributes.get("name"):
            self.forms[-1].names.add(attributes["name"])
            if attributes.get("type") == "hidden":
                self.forms[-1].fields[attributes["name"]] = attributes.get("value", "")
        elif tag == "a" and "href" in attributes:
            self.links.add(urlsplit(urljoin(self.url, attributes["href"])).path)
        if tag not in _VOID:
            self._open.append((tag, _kind(tag, attributes), []))

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost open element with this tag name, and store its text in ``texts``."""
        while any(name == tag for name, _, _ in self._open):
            name, kind, parts = self._open.pop()
            text = " ".join("".join(parts).split())
            if kind and text:
                self.texts[kind].append(text)
            if name == tag:
                return

    def handle_data(self, data: str) -> None:
        """Add text to every open element whose text is collected."""
        for _, kind, parts in self._open:
            if kind:
                parts.append(data)

    def form(self, *names: str) -> Form:
        """Return the first POST form that has all the named fields.

        Raises:
            SiteError: the page has no such form.
        """
        for form in self.forms:
            if form.method == "POST" and form.names.issuperset(names):
                return form
        raise SiteError(f"{self.url} ({self.status}) has no form with {', '.join(names)}.")

    @property
    def reason(self) -> str:
        """The reason for a refusal: the page's error messages, or else its first two texts."""
        texts = self.texts["messages"] or [t for t in self.texts["words"] if not t.isdigit()][:2]
        return " ".join(dict.fromkeys(texts)) or f"it answered {self.status} without a word"


def _kind(tag: str, attributes: Mapping[str, str]) -> str:
    """Return the key in Page.texts for the text of an element; "" if it is not collected."""
    if attributes.get("role") == "alert" or "error" in attributes.get("class", "").split():
        return "messages"
    return {"h1": "words", "p": "words", "code": "code"}.get(tag, "")


class Site:
    """The browser of one user: a session with cookies, signed in or not."""

    def __init__(self, base_url: str, timeout: float = 15.0) -> None:
        self.base_url = base_url
        self.username = ""
        self.timeout = timeout
        self._session = requests.Session()
        # Ignore proxies and ~/.netrc, because the site is usually on this machine.
        self._session.trust_env = False
        self._session.headers["Accept"] = "text/html"

    def get(self, path: str) -> Page:
        """Open a page of the site, and return it even if it is an error page."""
        return self._send("GET", self.base_url + path)

    def submit(self, path: str, fields: Fields) -> Page:
        """Open a page, submit its form that has these fields, and return the resulting page.

        Raises:
            SiteError: the page can't be opened, has no such form, or refuses the submitted
                values, or the site does not answer.
        """
        page = self.get(path)
        if page.status != 200:
            raise SiteError(f"{path}: {page.reason}", page.status)
        form = page.form(*fields)
        result = self._send("POST", form.action, {**form.fields, **fields})
        if result.status >= 400:
            raise SiteError(f"{path}: {result.reason}", result.status)
        return result

    def sign_in(self, username: str, password: str) -> None:
        """Sign in; raise SiteError if the user name or password is wrong."""
        self.submit("/-/sign-in", {"username": username, "password": password})
        self.username = username

    def create_user(self, username: str, password: str) -> bool:
        """Create an account (as an administrator); return False if it already exists."""
        return self._create("/-/admin/users", {"username": username, "password": password})

    def create_namespace(self, path: str, description: str) -> bool:
        """Create a namespace; return False if the path is in use."""
        return self._create_place("namespace", path, {"description": description})

    def create_project(self, path: str, description: str, visibility: str) -> bool:
        """Create a project; return False if the path is in use."""
        fields = {"description": description, "visibility": visibility}
        return self._create_place("project", path, fields)

    def add_member(self, path: str, username: str, role: str) -> bool:
        """Add a member to a namespace or project; return False if they are already a member."""
        return self._create(f"/{path}/-/members", {"username": username, "role": role})

    def create_access_token(self, name: str, scopes: Sequence[str], prefix: str) -> str:
        """Create an access token on the profile page, and return its secret.

        Args:
            name: the name of the token.
            scopes: the scopes of the token.
            prefix: the text with which every secret begins, used to find the secret on the page.

        Raises:
            SiteError: the page refused the request, or shows no secret.
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
            # As in a browser, a POST that is redirected continues as a GET.
            response = self._session.request(method, url, data=fields, timeout=self.timeout)
        except requests.RequestException as error:
            raise SiteError(
                f"The site at {self.base_url} does not answer ({type(error).__name__})."
            ) from error
        return Page(response)


def image_page(project: str, name: str, tag: str = "") -> str:
    """Return the URL path of an image's page, or of the page for one of its tags.

    Args:
        project: the path of the project.
        name: the name of the image below its project, "" for the root image (whose repository
            name is the path of the project).
        tag: the tag, "" for the page of the image.
    """
    image_path = f"/-/images/{name}" if name else ""
    if not tag:
        return f"/{project}{image_path or '/-/images'}"
    return f"/{project}{image_path}/-/tags/{quote(tag)}"
