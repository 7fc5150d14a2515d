"""Token endpoint of the registry: parse the scopes, decide what to grant, and sign a token."""
