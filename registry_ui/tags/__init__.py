"""Tags of an image: the list of tags, and queries and filters for it."""
