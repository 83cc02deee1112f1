"""Training of both networks: losses, optimizers, the state, and the training step."""
