"""The papers' measures: FID, KID, precision and recall, path length, separability."""

from .distances import (
    Statistics,
    feature_statistics,
    frechet_distance,
    inception_score,
    kernel_distance,
    precision_recall,
)
from .path_length import perceptual_path_length, ppl_endpoints, ppl_images
from .separability import conditional_entropy, linear_separability

__all__ = [
    "Statistics", "conditional_entropy", "feature_statistics", "frechet_distance", "inception_score", "kernel_distance",
    "linear_separability", "perceptual_path_length", "ppl_endpoints", "ppl_images", "precision_recall",
]
