"""Namespaces, projects, members, settings."""
