"""A shape as a coarse grid of codes: its codec, the flow that draws them, what the flow is told. Pure torch."""
