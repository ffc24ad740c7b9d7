"""Training and inference of near_stage1 and unified_implicit."""
