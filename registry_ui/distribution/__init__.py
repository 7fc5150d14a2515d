"""The registry, spoken to: HTTP, manifests, notifications, its configuration. Flask-free."""
