"""Receives the registry's notifications and applies them to the index."""
