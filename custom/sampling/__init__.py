"""Where training points are drawn, and their targets."""
