"""Copies of tags in other repositories, digest by digest, with what signs or describes them."""
