"""Measurements behind the figures in the documentation: one script a claim, peers side by side in one run."""
