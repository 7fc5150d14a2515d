"""Copies of tags to other repositories, with unchanged digests.

The referrers of the tags (signatures, SBOMs, and attestations) can be copied, too.
"""
