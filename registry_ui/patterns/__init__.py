"""Patterns for tags and image names."""
