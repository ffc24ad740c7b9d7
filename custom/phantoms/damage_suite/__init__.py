"""Kinds of damage to label maps, each alone or mixed, at any severity, in voxels or in mm."""
