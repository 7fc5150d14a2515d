"""HTTP layer: WSGI middleware, permission checks, error handlers, and response headers."""
