"""Evaluation of hearts drawn from one slice."""
