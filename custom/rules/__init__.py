"""Anatomical rules: fusion by priority, bridges, component limits, the ledger."""
