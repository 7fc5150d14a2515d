"""Web pages: Flask blueprints, and filters and functions for the templates."""
