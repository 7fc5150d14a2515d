"""Moves: change the path of a namespace, project, or image, including its registry content."""
