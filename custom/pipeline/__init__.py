"""What the commands run: the plan, the repair of a data set, its scores, the demonstration."""
