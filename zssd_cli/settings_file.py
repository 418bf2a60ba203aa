"""YAML files of settings: small, flat enough, without aliases that grow and without keys that are given twice."""

from collections.abc import Hashable, Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from pydantic_core import ErrorDetails

from zssd_cli.errors import ConfigError, InputError
from zssd_cli.files import check_regular
from zssd_cli.text import plain

LARGEST = 1_000_000
"""Bytes of a file."""
MOST = 100_000
"""Keys and values, those of repeated aliases counted every time."""


class _NoDuplicates(yaml.SafeLoader):
    """YAML whose mappings name no key twice: the second would win silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        names = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            msg = f"{twice} is given twice"
            raise yaml.constructor.ConstructorError(None, None, msg, node.start_mark)
        return super().construct_mapping(node, deep)


def read_settings_file(path: Path, option: str, example: str, *, required: bool = False) -> dict[str, Any]:
    """Keys and values of a YAML file; none for an empty one.

    Parameters
    ----------
    path
        The file.
    option, example
        Name it, and what it might hold, in an error.
    required
        An empty file is an error.

    Raises
    ------
    ConfigError
        It cannot be read, is too large or too deep, or holds something else.
    """
    try:
        check_regular(path)
        with path.open("rb") as file:
            text = file.read(LARGEST + 1)
        if len(text) > LARGEST:
            msg = f"it has more than {LARGEST} bytes"
            raise ValueError(msg)  # noqa: TRY301
        content = yaml.load(text.decode("utf-8-sig"), Loader=_NoDuplicates)  # noqa: S506  a SafeLoader
        _refuse_bomb(content)
    except RecursionError as error:
        msg = f"{option} {path} cannot be read: nested too deeply. Expected YAML with keys such as {example}."
        raise ConfigError(msg) from error
    except InputError as error:
        msg = f"{option} {error}"
        raise ConfigError(msg) from error
    except Exception as error:
        # the parser has errors of many kinds for dates, numbers and tags that are none
        told = error.strerror if isinstance(error, OSError) else None
        reason = plain(told or " ".join(str(error).split()) or type(error).__name__)[:300]
        msg = f"{option} {path} cannot be read: {reason}. Expected YAML with keys such as {example}."
        raise ConfigError(msg) from error
    if not isinstance(content, dict) and (content is not None or required):
        msg = f"{option} {path}: expected keys and values such as {example}, got {type(content).__name__}."
        raise ConfigError(msg)
    return content or {}


def reason(error: ErrorDetails) -> str:
    """What the checker of a model says of a value, in our words."""
    return error["msg"].removeprefix("Value error, ").replace("Input should be", "expected")


def keys_at(model: type[BaseModel], names: Iterable[int | str]) -> list[str]:
    """Keys that a file's part may have, which names and places in lists lead to in the model of the whole."""
    for name in names:
        if name in model.model_fields:
            model = next(_models(model.model_fields[str(name)].annotation), model)
    return list(model.model_fields)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a type is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _refuse_bomb(content: object) -> None:
    """Raise :class:`ValueError` where aliases make much of little, or something of itself."""
    waiting, count = [content], 0
    while waiting:
        one = waiting.pop()
        count += 1
        if count > MOST:
            msg = f"it holds more than {MOST} keys and values"
            raise ValueError(msg)
        if isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, list | tuple | set):
            waiting.extend(one)
