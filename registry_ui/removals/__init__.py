"""Removals: planning and running the deletion of tags, images, projects, and namespaces."""
