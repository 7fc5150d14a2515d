"""The pictures of the documents."""

from __future__ import annotations

import re

from config import ROOT
from registry_ui.demo.screenshots import FOLDER, PICTURES, THEMES

DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))


def test_there_is_every_picture_light_and_dark_and_no_other() -> None:
    taken = {f"{name}{suffix}.png" for name in PICTURES for suffix in THEMES.values()}
    assert {file.name for file in FOLDER.iterdir()} == taken


def test_every_picture_is_in_a_document_with_its_dark_one_and_says_what_it_shows() -> None:
    text = "".join(document.read_text() for document in DOCUMENTS)
    pair = r'srcset="(?:docs/)?screenshots/([\w-]+)-dark\.png">\n  <img alt="(.+?)"'
    shown = re.findall(pair, text)
    assert {name for name, _alt in shown} == set(PICTURES)
    assert set(re.findall(r'src="(?:docs/)?screenshots/([\w-]+)\.png"', text)) == set(PICTURES)
