"""Accounts: sign-in, sessions, access tokens, and limits for wrong passwords."""
