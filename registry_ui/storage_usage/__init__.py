"""Storage usage of namespaces, projects, images, and tags."""
