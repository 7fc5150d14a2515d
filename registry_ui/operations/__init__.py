"""Long-running operations, such as removals and copies: leases, write freezes, and recovery."""
