"""Activity pages: pushes, pulls, removals, and changes in a project or namespace, or by a user."""
