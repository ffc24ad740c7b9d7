"""Hearts as sets of tokens: what the completing network is made of, and what it minimises. Pure torch."""
