"""Training and inference of heart_sam3d_lora."""
