"""Priors by name: ``weights/registry.toml`` says which exist, and no file is used before its sha256 is that of its row.

Run as ``python -m zssd_cli.prior.registry FILE [NAME] [--card CARD.md]`` this module prints the row of a new prior, after
it has written the model card into the file's header.
"""

import difflib
import hashlib
import json
import os
import sys
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

from pydantic import ConfigDict, Field, StrictBool, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

import zssd_cli
from zssd_cli.errors import WeightsError, ZssdError
from zssd_cli.prior.fetching import download

REGISTRY = "registry.toml"
SUFFIX = ".safetensors"
RETRIES = 2
"""Further attempts after a failed download."""

Kind = Literal["downscaling", "conductivity"]
COMMANDS: dict[Kind, str] = {"downscaling": "zssd downscale", "conductivity": "zssd invert"}
"""What uses which kind of prior."""

_PICKLES = (".pt", ".pth", ".ckpt", ".pkl", ".bin")


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class PriorEntry:
    """One row of the registry.

    Attributes
    ----------
    name
        What users write after ``--weights``.
    file
        File name, without folder.
    sha256
        Of the file, 64 hexadecimal digits.
    size
        Of the file, bytes.
    variables
        ERA5 names of the fields that the prior makes, in its order.
    card
        File name of the model card, Markdown, in the folder of the registry.
    description
        One line.
    default
        Whether this prior is used where the user names none.
    kind
        ``downscaling`` of atmospheric fields, or fields of ``conductivity`` for inversion.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$")]
    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*\.safetensors$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: Annotated[int, Field(ge=0)]
    variables: Annotated[tuple[str, ...], Field(min_length=1)]
    card: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*\.md$")]
    description: str
    default: StrictBool = False
    kind: Kind = "downscaling"


def shipped_folder() -> Path:
    """Folder of the registry: inside the package where it was installed, beside it in a source checkout."""
    package = Path(zssd_cli.__file__).parent
    inside = package / "weights_shipped"
    return inside if inside.is_dir() else package.parent / "weights"


def cache_folder() -> Path:
    """Folder of downloaded priors: ``ZSSD_CACHE``, or the user's cache folder."""
    chosen = os.environ.get("ZSSD_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    import pooch

    return Path(pooch.os_cache("zssd"))


def entries() -> dict[str, PriorEntry]:
    """All rows of the registry by name.

    Raises
    ------
    WeightsError
        The registry is missing or damaged.
    """
    path = shipped_folder() / REGISTRY
    remedy = "Restore it (git checkout -- weights) or install zssd again."
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8"))
        adapter = TypeAdapter(PriorEntry)
        found = {name: adapter.validate_python({**row, "name": name}) for name, row in rows.items()}
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        msg = f"{path} is damaged: {where}: {first['msg']}, got {first['input']!r:.80}. {remedy}"
        raise WeightsError(msg) from error
    except (OSError, ValueError, TypeError) as error:
        msg = f"{path} cannot be read as a registry of priors: {error}. {remedy}"
        raise WeightsError(msg) from error
    if not found:
        msg = f"{path} is damaged: expected at least one prior, got none. {remedy}"
        raise WeightsError(msg)
    return found


def default_name() -> str:
    """Name of the prior that is used where the user names none."""
    chosen = [entry.name for entry in entries().values() if entry.default]
    if len(chosen) != 1:
        msg = (
            f"{shipped_folder() / REGISTRY} is damaged: expected one default prior, got {len(chosen)}"
            f" ({', '.join(chosen) or 'none'}). Name a prior with --weights."
        )
        raise WeightsError(msg)
    return chosen[0]


def entry(name: str) -> PriorEntry:
    """Row of one prior; an unknown name is a :class:`WeightsError` that lists the known ones."""
    known = entries()
    if name in known:
        return known[name]
    if name.endswith(SUFFIX):
        msg = f"{name} is no registered prior and has no hash to compare with: expected {' or '.join(known)}. See zssd weights show FILE."
        raise WeightsError(msg)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    msg = f"Unknown prior {name!r}: expected {' or '.join(known)}, or the path of a {SUFFIX} file.{hint}"
    raise WeightsError(msg)


def sha256_of(path: Path) -> str:
    """Hash of a file, as 64 hexadecimal digits; a file that cannot be read is a :class:`WeightsError`."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        msg = f"Weights {path} cannot be read: {error.strerror or error}. Check the path and its permissions."
        raise WeightsError(msg) from error


def find_local(prior: PriorEntry) -> Path | None:
    """Where a registered file lies on this machine, not yet verified; the shipped copy comes before the cached one."""
    candidates = (shipped_folder() / prior.file, cache_folder() / prior.file)
    return next((path for path in candidates if path.is_file()), None)


def place_of(path: Path | None) -> str:
    """Where :func:`find_local` found a file, in words."""
    if path is None:
        return "not here"
    return "shipped" if path.parent == shipped_folder() else "cache"


def locate(name_or_path: str | None, *, offline: bool = False, kind: Kind | None = "downscaling") -> tuple[Path, str]:
    """Find a prior, fetching it if need be.

    Parameters
    ----------
    name_or_path
        Registered name, path of a safetensors file, or None for the default prior.
    offline
        Never use the network.
    kind
        Which kind a registered prior must be; None: any. What a path holds is seen when it is loaded.

    Returns
    -------
    Path and sha256 of the file. The hash of a registered prior is that of its row; that of a path is only computed.

    Raises
    ------
    WeightsError
        Unknown name, another kind, missing or damaged file, failed download, or a file that is not safetensors.
    """
    chosen = default_name() if name_or_path is None else str(name_or_path)
    if name_or_path is None or chosen in entries():
        found = entry(chosen)
        if kind is not None and found.kind != kind:
            _refuse_kind(found, kind)
        return _locate_registered(found, offline=offline)
    path = Path(chosen).expanduser()
    if not (path.suffix or path.exists() or os.sep in chosen):
        entry(chosen)
    return _locate_path(path)


def _refuse_kind(prior: PriorEntry, kind: Kind) -> NoReturn:
    others = [other.name for other in entries().values() if other.kind == kind]
    msg = (
        f"Prior {prior.name} is one for {COMMANDS[prior.kind]}: expected one of kind {kind}"
        f" ({', '.join(others) or 'none registered'})."
    )
    raise WeightsError(msg)


def _locate_path(path: Path) -> tuple[Path, str]:
    if path.suffix.lower() in _PICKLES:
        msg = (
            f"Weights {path}: expected a {SUFFIX} file, got {path.suffix}, which may be a pickle and could run code."
            " Use a file that `zssd train` wrote."
        )
        raise WeightsError(msg)
    if not path.exists():
        known = entries()
        near = difflib.get_close_matches(path.name.removesuffix(SUFFIX), known, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        msg = f"Weights {path}: expected a file or one of the priors {', '.join(known)}, got nothing there.{hint}"
        raise WeightsError(msg)
    if not path.is_file() or path.suffix != SUFFIX:
        got = "a folder" if path.is_dir() else f"a file named {path.name}"
        msg = f"Weights {path}: expected a {SUFFIX} file, got {got}. Give a file that `zssd train` wrote."
        raise WeightsError(msg)
    return path, sha256_of(path)


def _locate_registered(prior: PriorEntry, *, offline: bool) -> tuple[Path, str]:
    path = find_local(prior)
    got = sha256_of(path) if path else None
    if path and got == prior.sha256:
        return path, prior.sha256
    url = os.environ.get("ZSSD_WEIGHTS_URL")
    shipped = path is not None and path.parent == shipped_folder()
    if url and not offline and not shipped:
        return download(prior.name, prior.file, prior.sha256, prior.size, url, cache_folder(), RETRIES), prior.sha256
    if path is None:
        reason = "--offline forbids a download" if offline else "it was not shipped, and ZSSD_WEIGHTS_URL is not set"
        msg = (
            f"Prior {prior.name}: expected {prior.file} in {shipped_folder()} or {cache_folder()}, got no such file,"
            f" and {reason}. Set ZSSD_WEIGHTS_URL to the address of a folder with it, or give a file with --weights."
        )
        raise WeightsError(msg)
    remedy = (
        "Restore it (git checkout -- weights) or install zssd again"
        if shipped
        else f"Delete it, then set ZSSD_WEIGHTS_URL and run `zssd weights fetch {prior.name}`"
    )
    msg = f"Prior {prior.name}: {path} is damaged: expected sha256 {prior.sha256}, got {got}. {remedy}."
    raise WeightsError(msg)


def row_of(path: Path, name: str | None = None) -> str:
    """The row of the registry for a new safetensors prior, as TOML; its variables are read from the file's header."""
    from safetensors import SafetensorError, safe_open

    path, sha256 = _locate_path(path)
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
        variables = list(json.loads(metadata["header"])["variables"])
        kind = "conductivity" if "latent" in metadata.get("format", "") else "downscaling"
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        msg = f"{path}: expected a prior with its settings in the header, got {error!r}. Make it with `zssd train`."
        raise WeightsError(msg) from error
    name = name or path.stem
    return (
        f"[{name}]\n"
        f'file = "{path.name}"\n'
        f'sha256 = "{sha256}"\n'
        f"size = {path.stat().st_size}\n"
        f"variables = {json.dumps(variables)}\n"
        f'card = "{name}.md"\n'
        'description = ""\n'
        "default = false\n"
        f'kind = "{kind}"\n'
    )


def embed_card(path: Path, card: Path) -> None:
    """Write a model card (Markdown) into the header of a prior, so that it travels with the weights."""
    from zssd_cli.files import atomic_path
    from zssd_cli.prior.checkpoint import read_safetensors, write_safetensors

    try:
        text = card.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"--card {card} cannot be read ({error}); expected a Markdown text."
        raise WeightsError(msg) from error
    tensors, metadata = read_safetensors(path)
    with atomic_path(path) as temporary:
        write_safetensors(temporary, tensors, metadata | {"card": text})


def described(path: Path) -> str:
    """What the header of a prior says, as Markdown: its card, where it has one, and the facts of its training."""
    import yaml

    from zssd_cli.prior.checkpoint import read_header, read_safetensors

    meta = read_safetensors(path)[1]
    try:
        facts = read_header(meta) if "latent" in meta.get("format", "") else _facts(path)
        table = yaml.safe_dump(facts, sort_keys=False, width=110, allow_unicode=True)
    except (KeyError, ValueError, RecursionError) as error:
        msg = f"{path}: its header is damaged, absent or nested too deeply ({str(error)[:100]}). Fetch it again or train anew."
        raise WeightsError(msg) from error
    return f"{meta.get('card', '')}\n\n## In the header of {path.name}\n\n```yaml\n{table}```\n".lstrip()


def _facts(path: Path) -> dict[str, Any]:
    from zssd_cli.prior.checkpoint import load_prior

    prior = load_prior(path)
    scales = zip(prior.variables, prior.mean.tolist(), prior.std.tolist(), strict=True)
    return {
        "variables": {name: f"mean {mean:.6g}, standard deviation {std:.4g}" for name, mean, std in scales},
        "network": prior.header.network.model_dump(mode="json"),
        "season and hour": "known" if prior.header.time_known else "not known",
        "static fields": prior.header.static_sha256,
        "training": prior.header.training,
    } | ({} if prior.header.coarse is None else {"network for high noise": prior.header.coarse.model_dump(mode="json")})


def _main(arguments: list[str]) -> str:
    if "--card" in arguments:
        at = arguments.index("--card")
        embed_card(Path(arguments[0]), Path(arguments[at + 1]))
        del arguments[at : at + 2]
    return row_of(Path(arguments[0]), *arguments[1:2])


if __name__ == "__main__":
    try:
        sys.stdout.write(_main(sys.argv[1:]))
    except IndexError:
        sys.exit("usage: python -m zssd_cli.prior.registry FILE [NAME] [--card CARD.md]")
    except ZssdError as error:
        sys.exit(f"zssd: error: {error}")
