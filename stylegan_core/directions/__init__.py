"""Ways through latent space along which one thing changes: found in a model, read from a file, walked."""

from .apply import apply_direction, direction_grid, even_steps
from .find import find_directions
from .value import Directions

__all__ = ["Directions", "apply_direction", "direction_grid", "even_steps", "find_directions"]
