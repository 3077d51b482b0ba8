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
from .score import Measure, best_separability, compare_sets, measure_separability, path_length, sample_pictures
from .separability import conditional_entropy, linear_separability

__all__ = [
    "Measure", "Statistics", "best_separability", "compare_sets", "conditional_entropy", "feature_statistics",
    "frechet_distance", "inception_score", "kernel_distance", "linear_separability", "measure_separability", "path_length",
    "perceptual_path_length", "ppl_endpoints",
    "ppl_images", "precision_recall", "sample_pictures",
]
