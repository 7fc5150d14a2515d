"""Registry views: images, tags, removal."""
