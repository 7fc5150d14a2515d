"""HTTP layer: WSGI middleware, loaders, error handlers and response headers."""
