"""Two manifests side by side, of any two images: what they share and what differs."""
