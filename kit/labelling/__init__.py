"""Who wins a pixel: soft masks to label maps, and label maps decided again without a model."""
