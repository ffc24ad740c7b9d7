"""The only room that knows MONAI's engines: handlers, resuming, preflight."""
