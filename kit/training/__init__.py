"""Fine-tuning, and the training of the tiny family: clips in, checkpoints out."""
