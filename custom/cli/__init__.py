"""The `corfield` command: one file per group of commands, and what they share."""
