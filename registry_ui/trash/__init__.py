"""Trash: deleted tags that can still be restored."""
