"""What everything that optimizes shares: the loop, its best state and end; schedule, Adam, averages; chunks; runs on disk."""

from .adam import Adam
from .average import Average, halflife_decay, move_average, ramped_decay
from .chunks import Chunks
from .fitting import FitOptions, Fitting
from .guard import FiniteGuard, first_bad_layer
from .loop import Best, History, Optimization, Plateau, Series
from .private import exact, frozen, gradients
from .rates import rate_groups, relative_rate
from .run_folder import RunFolder, check_run, read_log
from .schedule import ramp, ramp_of_step
from .state import collect, restore
from .weights import weighted_total

__all__ = ["Adam", "Average", "Best", "Chunks", "FiniteGuard", "FitOptions", "Fitting", "History", "Optimization", "Plateau",
           "RunFolder", "Series", "check_run", "collect", "exact", "first_bad_layer", "frozen", "gradients", "halflife_decay",
           "move_average", "ramp", "ramp_of_step", "ramped_decay", "rate_groups", "read_log",
           "relative_rate", "restore", "weighted_total"]
