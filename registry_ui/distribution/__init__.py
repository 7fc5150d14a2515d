"""Client side of Distribution: HTTP API, manifests, notifications, configuration. Flask-free."""
