"""WSGI application for gunicorn and the ``flask`` command."""

import sys

from config import ConfigError
from registry_ui import create_app
from registry_ui.token_auth.signer import KeyUnusable

try:
    app = create_app()
except (ConfigError, KeyUnusable) as error:
    sys.exit(f"registry_ui can't start: {error}")
