"""Search for namespaces, projects, images, tags, digests, and complete references."""
