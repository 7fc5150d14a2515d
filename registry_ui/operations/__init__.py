"""Operations: leases, write freezes, and recovery of long-running work."""
