"""Copies of tags to other repositories, digest by digest, optionally with their referrers."""
