"""Trash."""
