"""The training loop and its parts: objectives, optimisers, gradients, checkpoints and measurements."""
