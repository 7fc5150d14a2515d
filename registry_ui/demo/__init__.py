"""Samples for a running system, made and pushed as people would: `make demo`.

Nothing here is used by the application. `images` builds every kind of content
from nothing and is shared with the tests; `push` and `site` are a small
registry client and a small browser; `content` is the table of what is made.
"""
