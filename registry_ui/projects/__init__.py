"""Namespaces and projects: members, settings, deploy tokens, and protection rules."""
