"""Adoption: assign repositories of an existing registry to projects in bulk."""
