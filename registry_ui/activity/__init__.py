"""Activity pages: pushes, pulls, removals and changes in a place or by a person."""
