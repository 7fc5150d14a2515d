"""Storage usage."""
