"""The token endpoint: parse scopes, decide, sign."""
