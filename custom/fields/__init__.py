"""Implicit functions F(z, p): pure torch, knows no file and no label number."""
