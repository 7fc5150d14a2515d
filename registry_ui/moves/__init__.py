"""Namespaces, projects and images that get another path, with everything in the registry."""
