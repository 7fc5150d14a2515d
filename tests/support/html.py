"""Reads pages as people do: headings, tables by their headers, links by their words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = frozenset({"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "wbr"})
_APART = frozenset({"li", "p", "td", "th", "div", "dt", "dd", "h1", "h2", "h3", "br", "tr"})


@dataclass
class Element:
    """An element of a page. ``parts`` are its text and its elements, in order."""

    tag: str
    attrs: dict[str, str]
    parts: list[str | Element] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Its text as it is read, white space closed up."""
        return " ".join("".join(self._texts()).split())

    def _texts(self) -> Iterator[str]:
        for part in self.parts:
            if isinstance(part, str):
                yield part
            else:
                yield from part._texts()
                if part.tag in _APART:
                    yield " "

    def walk(self) -> Iterator[Element]:
        """Yield every element below, in the order of the page."""
        for part in self.parts:
            if isinstance(part, Element):
                yield part
                yield from part.walk()

    def all(self, *tags: str) -> list[Element]:
        """All elements of these names below."""
        return [element for element in self.walk() if element.tag in tags]

    def first(self, tag: str) -> Element:
        """The first element of that name below."""
        return self.all(tag)[0]


class Page(Element, HTMLParser):
    """A page, parsed. Whatever was not escaped is an element here, and not text."""

    def __init__(self, body: str) -> None:
        HTMLParser.__init__(self, convert_charrefs=True)
        Element.__init__(self, "page", {})
        self._open: list[Element] = [self]
        self.feed(body)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "wbr":
            return  # where a word may break: nothing is read there
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].parts.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if any(element.tag == tag for element in self._open[1:]):
            while self._open.pop().tag != tag:
                pass

    def handle_data(self, data: str) -> None:
        parts = self._open[-1].parts
        if parts and isinstance(parts[-1], str):
            parts[-1] += data
        else:
            parts.append(data)

    def table(self, caption: str) -> list[dict[str, str]]:
        """The rows of the table whose caption begins so, as header to text."""
        for table in self.all("table"):
            captions = table.all("caption")
            if captions and captions[0].text.startswith(caption):
                head, *rows = table.all("tr")
                names = [cell.text for cell in head.all("th")]
                return [
                    dict(zip(names, (cell.text for cell in row.all("th", "td")), strict=True))
                    for row in rows
                ]
        raise AssertionError(f"no table “{caption}” in: {self.text[:500]}")

    @property
    def facts(self) -> dict[str, str]:
        """Every term of a description list, with what it says."""
        terms = self.all("dt")
        return dict(zip((t.text for t in terms), (d.text for d in self.all("dd")), strict=True))

    @property
    def links(self) -> dict[str, str]:
        """Where each link leads, by its words."""
        return {link.text: link.attrs.get("href", "") for link in self.all("a")}

    @property
    def hidden(self) -> dict[str, str]:
        """What the forms of the page send along unseen; the token against forgery aside."""
        fields = [f.attrs for f in self.all("input") if f.attrs.get("type") == "hidden"]
        return {f["name"]: f["value"] for f in fields if f["name"] != "csrf_token"}

    def section(self, heading: str) -> str:
        """What is read between a heading of the second rank and the next one."""
        found: list[str] = []
        reached = False
        for element in self.walk():
            if element.tag == "h2":
                reached = element.text.startswith(heading)
            elif reached:
                found += [part for part in element.parts if isinstance(part, str)]
        return " ".join(" ".join(found).split())


def rows_of_tags(page: Page) -> dict[str, dict[str, str]]:
    """The rows of the table of tags, by tag."""
    return {row["Tag"].split()[0]: row for row in page.table("Tags of")}
