"""The generator and the discriminator as Flax modules, and the tables of their layers."""
