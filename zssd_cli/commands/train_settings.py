"""From preset, configuration file and flags of ``zssd train`` to one checked configuration."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from zssd_cli import defaults
from zssd_cli.config import PRESETS, MoreData, TrainConfig, misfit
from zssd_cli.errors import ConfigError
from zssd_cli.prior.checkpoint import Prior
from zssd_cli.settings_file import keys_at, read_settings_file, reason
from zssd_cli.variables import lookup

Settings = TypeVar("Settings", bound=BaseModel)

PLAIN = {"tuple_type": "expected a list", "model_type": "expected keys and values", "extra_forbidden": "unknown key"}
"""What is said instead of a checker's words about Python."""

FINE_TUNING = {"learning_rate": 3e-4, "warmup": 100}
"""Defaults where a training starts from a prior: steps small enough not to forget what it knows."""


OF_DATA = ("variables", "lowpass_km", "more", "any_frequency")
"""Settings that prepared data were made with."""


def read_settings(
    path: Path | None,
    flags: dict[str, Any],
    preset: str | None = None,
    start: Prior | None = None,
    prepared: Mapping[str, Any] | None = None,
) -> TrainConfig:
    """Settings of a preset, overridden by those of a YAML file, overridden by flags.

    A training that starts from a prior has its network and variables unless told otherwise, which is an error. One on
    ``prepared`` data has the settings for which these were prepared where nothing else is said, and of the data no others.

    Raises
    ------
    ConfigError
        Unknown keys and bad values, an unreadable file, an unknown preset, settings that do not fit ``start``.
    """
    if preset is not None and preset not in PRESETS:
        msg = f"--preset {preset}: expected one of {', '.join(PRESETS)}."
        raise ConfigError(msg)
    base = {**(prepared or {}), **(PRESETS[preset] if preset else {})}
    if start is not None:
        base = {**base, **FINE_TUNING, "network": start.header.network.model_dump(), "variables": start.variables}
        base |= {} if start.header.time_known else {"time_dropout": 1.0}
    config = validated(TrainConfig, {**base, **_file(path), **flags})
    names = tuple(dict.fromkeys(lookup(name.strip()).name for name in config.variables if name.strip()))
    if not names:
        msg = f"--vars: expected names such as {','.join(defaults.VARIABLES)}, got none. Leave it out for these."
        raise ConfigError(msg)
    more = tuple(part.model_copy(update={"smooth": _smooth(part, names)}) for part in config.more)
    config = config.model_copy(update={"variables": names, "more": more})
    if start is not None:
        _check_start(config, start)
        if config.coarse > 1:
            _check_coarse(config, start)
    elif config.coarse > 1:
        msg = f"Training setting coarse: {config.coarse} trains a second network for a prior; name that prior with --from."
        raise ConfigError(msg)
    if prepared is not None:
        _check_prepared(config, prepared)
    return config


def _check_prepared(config: TrainConfig, prepared: Mapping[str, Any]) -> None:
    now = config.model_dump(mode="json")
    for name in OF_DATA:
        if name in prepared and now[name] != prepared[name]:
            msg = (
                f"Training setting {name}: the data were prepared with {prepared[name]}, got {now[name]}. "
                "Leave it out, or prepare the data anew."
            )
            raise ConfigError(msg)


def _smooth(part: MoreData, variables: tuple[str, ...]) -> tuple[str, ...]:
    """Canonical names of the smooth variables of further files, which must be among those of the prior."""
    names = tuple(dict.fromkeys(lookup(name.strip()).name for name in part.smooth))
    for name in names:
        if name not in variables:
            msg = f"Training setting more.smooth: expected some of {', '.join(variables)}, got {name}. Leave it out."
            raise ConfigError(msg)
    return names


def _file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    return read_settings_file(path, "--config", "steps: 5000")


def validated(model: type[Settings], settings: dict[str, Any]) -> Settings:
    """Checked settings; the first thing wrong is a :class:`ConfigError` with its key, and the known keys where it is none."""
    try:
        return model.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        told = PLAIN.get(first["type"], reason(first))
        msg = f"Training setting {key}: {told}, got {first['input']!r}."
        if first["type"] == "extra_forbidden":
            msg += f" Known: {', '.join(keys_at(model, first['loc'][:-1]))}."
        raise ConfigError(msg) from error


def _check_coarse(config: TrainConfig, start: Prior) -> None:
    """That a second network fits the globe, the levels at which it is asked, and its prior."""
    if problem := misfit(config.coarse, config.network):
        msg = f"Training setting coarse: {problem}. Choose 2, 4 or another that fits."
        raise ConfigError(msg)
    if config.coarse_learned > config.coarse_above:
        msg = (
            f"Training setting coarse_learned_above: expected coarse_above ({config.coarse_above:g}) at most, "
            f"got {config.coarse_learned:g}: the network would be asked what it never learned. Lower it, or leave it out."
        )
        raise ConfigError(msg)
    if (config.time_dropout < 1) != start.header.time_known:
        known = "knows season and hour" if start.header.time_known else "does not know season and hour"
        msg = (
            f"Training setting time_dropout: the prior of --from {known}, and its second network must do the same, "
            f"got {config.time_dropout:g}. Leave it out."
        )
        raise ConfigError(msg)


def _check_start(config: TrainConfig, start: Prior) -> None:
    if config.variables != start.variables:
        msg = (
            f"--from: the prior makes {', '.join(start.variables)}, asked for {', '.join(config.variables)}; "
            "leave out --vars, or train anew without --from."
        )
        raise ConfigError(msg)
    if config.network != start.header.network:
        msg = "--from: the network of --config is not the prior's; leave `network` out, or train anew without --from."
        raise ConfigError(msg)
