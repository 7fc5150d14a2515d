"""Client side of the registry: HTTP API, manifests, notifications, configuration. No Flask."""
