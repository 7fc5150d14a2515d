"""Receiver of the registry's notifications: events are stored, then applied to the database."""
