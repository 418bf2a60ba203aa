"""What ``zssd downscale`` does unless told otherwise: read by its settings and by its help, which imports nothing heavy."""

VARIABLES = ("msl", "u10", "v10")
"""Also those of a training."""
FILTER_SCALE = 5.0
"""Degrees."""
MAX_MISSING = 0.05
"""Share of a training's times that may have missing values."""
MEMBERS = 1
SEED = 0
GUIDANCE = "analysis"
OBS_ERROR = 0.01
"""Small enough to mean none: up to it the default guidance ends with block means that are exact."""
PRODUCTS = 3
TIME_NOISE = "smooth:5"
"""Measured: docs/guidance.md; e-folding time in hours."""
AUTO = "auto"
"""Of regridder, precision and device: what suits the input and the machine."""
