"""The database's copy of the registry's images and tags ("the index"), and how it is kept current.

The comparison of a repository with the index, and the correction of the index, is a "reconcile".
"""
