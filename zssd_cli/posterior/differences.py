"""What an output, or work kept for one, was made with and a call now asks for otherwise; and the options that ask for it as it was."""

import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from zssd_cli.outputs.layout import KEPT, PACKED

INPUTS = "zssd_inputs"
"""Global attribute of an output: the hash of the files that it was made of."""
OPTIONS = (
    "guidance", "sampler", "steps", "spacing", "filter_scale", "obs_error", "members", "seed", "time_noise", "products", "zeta",
    "subdaily", "regridder", "precision", "vars",
)  # fmt: skip
"""Settings that an option of ``zssd downscale`` asks for by its name."""
NOT_ASKED_FOR = {"spacing": "ddpm"}
"""Values that settings have where no option is given, and that none takes."""
PLACES = {"geospatial_": "another region", "time_coverage_": "other times"}
"""Begin of global attributes -> what is meant where they differ."""
_OURS = "zssd_"


def named(then: Mapping[str, Any], now: Mapping[str, Any], names: Iterable[str]) -> str:
    """All of these settings, each as it was and as it is."""
    return "; ".join(f"{name} was {told(then.get(name))}, is {told(now.get(name))}" for name in names)


def named_attributes(then: Mapping[str, Any], now: Mapping[str, Any], names: Iterable[str]) -> str:
    """The same of global attributes of an output; those that only repeat others are left out."""
    ours = [name for name in names if name.startswith(_OURS) and name != INPUTS]
    said = ["other input files"] if INPUTS in names else []
    said += [words for begin, words in PLACES.items() if any(name.startswith(begin) for name in names)]
    said += [named(_settings(then), _settings(now), _settings(dict.fromkeys(ours)))] if ours else []
    return "; ".join(said) or named(then, now, names)


def asked_for(then: Mapping[str, Any], names: Iterable[str]) -> str:
    """The options that ask for settings as they were, ready to be typed; none where a setting has no option of its name."""
    if not set(names) <= set(OPTIONS):
        return ""
    found = [name for name in OPTIONS if name in names and then.get(name) not in (None, NOT_ASKED_FOR.get(name))]
    return shlex.join(word for name in found for word in (f"--{name.replace('_', '-')}", told(then[name])))


def asked_for_attributes(then: Mapping[str, Any], names: Iterable[str]) -> str:
    """The same of global attributes of an output."""
    flags = {KEPT: "--keep-spread", PACKED: "--pack"}
    if any(name == INPUTS or name.startswith(tuple(PLACES)) for name in names):
        return ""
    options = asked_for(
        _settings(then), _settings({name: 0 for name in names if name.startswith(_OURS) and name not in flags})
    )
    return " ".join(filter(None, [options, *(flag for name, flag in flags.items() if name in names and name in then)]))


def told(value: object) -> str:
    """A setting for people."""
    return "not given" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _settings(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(_OURS): value for name, value in attributes.items()}
