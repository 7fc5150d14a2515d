"""Sample data for a running system, created and pushed as users would do it: `make demo`.

The application does not use this package. `images` and `artifacts` build manifests and
blobs in memory, and are shared with the tests; `push` and `site` are a small registry
client and a small browser; `content` is the table of everything that is created.
"""
