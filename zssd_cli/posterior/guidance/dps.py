"""``dps``: plain diffusion posterior sampling (Chung et al. 2023), the ablation of ``ucg``.

The norm of the mismatch is taken on the coarse grid, which makes the gradient smaller by about the block factor.
"""

from dataclasses import replace

from zssd_cli.posterior.guidance import Guidance, Method
from zssd_cli.posterior.guidance import ucg as paper


def dps(zeta: float) -> Guidance:
    """Gradient of the mismatch on the coarse grid; meant for the ``ddpm`` sampler with 1000 steps."""
    return paper.stepwise(fine=False, zeta=zeta)


ZETA = {2.5: 6.0, 5.0: 2.5}
"""As of ``ucg``; larger as the gradient is smaller. Smaller blocks than 2.5 degrees were not measured."""
METHOD: Method = replace(paper.METHOD, make=lambda setup: dps(METHOD.zeta_of(setup.config) or 0.0), zeta=ZETA)
