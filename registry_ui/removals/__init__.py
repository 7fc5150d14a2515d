"""Removals."""
