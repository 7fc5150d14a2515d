"""Comparison of two manifests from any images: their common parts and their differences."""
