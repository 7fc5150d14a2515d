"""Tags of an image: the list of tags for pages and the API, and queries and filters for tags."""
