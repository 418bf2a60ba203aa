"""Every score by name: what it means in a line, what is good, and who says so. Screen, Markdown, JSON and docs take it from here."""

from dataclasses import dataclass

FERRO = "Ferro 2014, QJRMS 140"


@dataclass(frozen=True)
class Meaning:
    """One score.

    Attributes
    ----------
    heading
        Above a column.
    line
        What it is, one line.
    good
        What is good.
    source
        Where it comes from.
    """

    heading: str
    line: str
    good: str
    source: str = ""


SCORES = {
    "mae": Meaning("MAE", "mean absolute error of the ensemble mean", "0"),
    "rmse": Meaning("RMSE", "root mean square error of the ensemble mean", "0"),
    "bias": Meaning("bias", "mean of the ensemble mean less that of the truth", "0"),
    "correlation": Meaning("correlation", "of the ensemble mean with the truth over cells and times", "1"),
    "slope": Meaning(
        "slope", "of the regression of the truth on the ensemble mean: above 1 the mean is too flat, below 1 too lively", "1"
    ),
    "crps": Meaning("CRPS", "error of the whole ensemble, fair to its size; for a single field its MAE, so they compare", "0", FERRO),
    "tw_crps": Meaning(
        "twCRPS", "CRPS that looks only beyond the threshold that is given beside it", "0", "Allen et al. 2023, SIAM/ASA JUQ 11"
    ),
    "event_share": Meaning("events", "share of the truth beyond that threshold", "-"),
    "energy_score": Meaning(
        "energy", "CRPS of tiles of 4 x 4 cells as a whole, per cell", "0", "Gneiting and Raftery 2007, JASA 102"
    ),
    "variogram_score": Meaning(
        "variogram", "whether differences between neighbours in such tiles are as large as in the truth", "0",
        "Scheuerer and Hamill 2015, MWR 143",
    ),
    "spread_skill": Meaning(
        "spread/skill", "spread of the members over the error of their mean: below 1 too narrow, above 1 too wide", "1",
        "Fortin et al. 2014, J. Hydrometeorol. 15",
    ),
    "reliability_index": Meaning(
        "reliability", "how far the rank histogram is from flat: sum of |share - 1/(m+1)|", "0", "Delle Monache et al. 2006, JGR 111"
    ),
    "outside": Meaning(
        "outside", "how often the truth lies outside all members, over how often it should, 2/(m+1)", "1", "Hamill 2001, MWR 129"
    ),
    "cover_50": Meaning("in 50%", "share of the truth within the ensemble's 50 percent interval", "0.5"),
    "cover_90": Meaning(
        "in 90%", "share within its 90 percent interval, with fewer than 19 members within all of them", "cover_90_expected"
    ),
    "cover_90_expected": Meaning("", "what a reliable ensemble of that size covers: 0.9, or (m-1)/(m+1) where m is below 19", "-"),
    "wasserstein": Meaning(
        "Wasserstein", "how far values must be moved on average to get the truth's distribution", "0", "Villani 2009, Optimal Transport"
    ),
    "wasserstein_noise": Meaning("", "how far other times of the reference are from it: smaller distances mean nothing", "-"),
    "lsd_db": Meaning("LSD dB", "log spectral distance: typical deviation of the power spectrum from the truth's, in dB", "0"),
    "worst_db": Meaning("worst dB", "largest deviation of the power spectrum from the truth's, in dB", "0"),
    "worst_db_at": Meaning("", "wavelength in degrees at which that is", "-"),
    "effective_resolution": Meaning(
        "resolves", "shortest wavelength in degrees down to which power is within 3 dB of the truth's", "the smallest bin",
        "Skamarock 2004, MWR 132",
    ),
    "coherent_down_to": Meaning(
        "in place", "shortest wavelength in degrees down to which a member's waves are where the truth's are (coherence above 1/2)",
        "small",
    ),
    "mean": Meaning("", "over cells, members and times", "the reference's"),
    "std": Meaning("", "standard deviation over cells, members and times", "the reference's"),
    "mean_error": Meaning("", "that mean less the reference's", "0"),
    "std_error": Meaning("", "that standard deviation less the reference's", "0"),
    "std_truth": Meaning("", "standard deviation of the truth over cells and times", "-"),
    "std_mean": Meaning("", "the same of the ensemble mean", "at most std_truth"),
    "std_member": Meaning("", "the same of a member", "std_truth"),
    "wind_pressure_correlation": Meaning("", "of wind with the geostrophic wind of the same field's pressure", "the reference's"),
    "wind_pressure_ratio": Meaning("", "of wind to that geostrophic wind: what drag leaves", "the reference's"),
    "wind_pressure_angle": Meaning("", "degrees by which wind is turned from it towards low pressure", "the reference's"),
    "skill_crps": Meaning("", "1 - CRPS over the baseline's", "1; 0 is the baseline"),
    "skill_mae": Meaning("", "1 - MAE over the baseline's", "1; 0 is the baseline"),
    "skill_rmse": Meaning("", "1 - RMSE over the baseline's", "1; 0 is the baseline"),
}  # fmt: skip


def meaning(score: str) -> str:
    """One line for a score of a record, also for families such as ``quantile_99`` and ``difference_crps``."""
    if score in SCORES:
        return SCORES[score].line
    kind, _, rest = score.partition("_")
    if kind == "change":
        apart = ", less that of the input" if rest.endswith("_apart") else ""
        return f"future less historical: {rest.removesuffix('_apart').replace('_', ' ')}{apart}"
    if kind in ("historical", "future"):
        return f"{rest.replace('_', ' ')} of the {kind} period"
    if kind == "difference" and rest in SCORES:
        return f"{SCORES[rest].heading or rest} of the output less that of the one it is compared with (--against)"
    if kind == "quantile" and rest.endswith("_error"):
        return f"the {rest.removesuffix('_error')}th percentile less that of the truth"
    if kind == "quantile":
        return f"the {rest}th percentile over members, cells and times"
    if kind == "power":
        return f"mean power at wavelengths of {rest.removesuffix('_degree_db').replace('_', ' to ')} degrees against the truth's, dB"
    return ""
