"""The index and the live tree: images, tags, facts, reconcile, removal."""
