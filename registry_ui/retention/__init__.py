"""Retention policies: rules that delete old tags once a day."""
