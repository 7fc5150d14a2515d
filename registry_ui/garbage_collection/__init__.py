"""Garbage collection: deletes unreferenced blobs with the registry's own collector."""
