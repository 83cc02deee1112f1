"""The method: losses, optimizers, the state, and one update of each network."""
