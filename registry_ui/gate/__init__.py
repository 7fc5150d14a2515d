"""The gate: authorizes pushes and deletions for the reverse proxy in front of the registry."""
