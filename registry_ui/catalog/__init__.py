"""The index of images and tags, and how it is kept consistent with the registry (reconcile)."""
