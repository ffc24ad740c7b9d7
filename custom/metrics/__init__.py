"""Overlap, surface distances in mm, topology, and tables of scores."""
