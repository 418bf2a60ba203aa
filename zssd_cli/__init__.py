"""zssd: zero-shot statistical downscaling of climate-model output by diffusion posterior sampling.

From Python: ``zssd_cli.downscale(dataset, vars="msl,u10,v10", region="europe", members=8)``. Names are imported when asked for.
"""

import importlib
from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "downscale", "evaluate", "load_prior", "open_series"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("zssd_cli.api"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
