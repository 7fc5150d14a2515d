"""Asked by the reverse proxy before a push or a deletion of a manifest reaches the registry."""
