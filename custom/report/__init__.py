"""Pictures of cases before and after."""
