"""Implicit functions F(z, p): pure torch, knows no file and no label number.

A ``forward`` is annotated with plain tensors, its shapes stand in the docstring: TorchScript reads the annotations.
"""
