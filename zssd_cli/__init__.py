"""zssd: zero-shot statistical downscaling of climate-model output by diffusion posterior sampling."""

__version__ = "0.1.0"
