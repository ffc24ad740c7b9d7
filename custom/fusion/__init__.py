"""Inference of near_fusion."""
