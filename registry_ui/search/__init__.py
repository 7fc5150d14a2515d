"""Search everywhere: namespaces, projects, images, tags, digests, whole references."""
