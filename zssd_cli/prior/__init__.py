"""The diffusion prior.

Denormal numbers make the backward pass on a CPU ten times slower after some hundred steps. Threads inherit the setting
from the one that starts them, so it must be made before torch starts its pool: here, before anything else of torch runs.
"""

import torch

torch.set_flush_denormal(True)
