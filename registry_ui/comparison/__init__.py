"""Comparison of two manifests, of any two images: what they share and what differs."""
