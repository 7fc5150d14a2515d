"""Manifests: fetching, parsing, storing, and the graph of OCI indexes, manifests, and blobs."""
