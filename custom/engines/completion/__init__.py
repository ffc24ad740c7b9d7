"""How MONAI's engines train and ask the network that completes hearts (requirements B2-B5)."""
