"""Accounts: sign in and out, profile, access tokens."""
