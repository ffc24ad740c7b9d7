"""Synthetic hearts of known truth, their damage and their CT images."""
