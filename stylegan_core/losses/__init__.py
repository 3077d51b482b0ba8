"""Perceptual, identity, contextual and adversarial losses, and regularizers; each returns one value per image."""
