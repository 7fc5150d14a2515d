"""Removals: planning and running the deletion of tags, images, and places."""
