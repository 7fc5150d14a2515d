"""Manifests: fetching, parsing, storing, and the graph of indexes, manifests and blobs."""
