"""The state of a training on disk: what both kinds of prior share. Whole, finite and of the same settings, or refused in one line."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ValidationError
from torch import Tensor
from torch.optim import Optimizer

from zssd_cli.errors import Diverged, OutputError, WeightsError
from zssd_cli.files import atomic_path
from zssd_cli.prior.checkpoint import read_safetensors, write_safetensors


class Resumable(ABC):
    """A training that can be stopped and gone on with.

    Attributes
    ----------
    FORMAT
        Names the kind of state in its file.
    SLOWER
        What the user calls the learning rate.
    FREE
        Settings that may change when it is resumed.
    config
        Settings.
    data
        A text that names the training data; a state made with another one is not resumed.
    step
        Steps that are done.
    """

    FORMAT: ClassVar[str]
    SLOWER: ClassVar[str]
    FREE: ClassVar[tuple[str, ...]]
    config: Any
    data: str = ""
    step: int = 0

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """Everything that a resumed run needs."""

    @abstractmethod
    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Continue from :meth:`tensors`, with ``step`` set already; what it raises says that they do not fit."""

    def check(self, what: str, *, finite: bool) -> None:
        """Raise :class:`Diverged` where something is not finite."""
        if not finite:
            msg = (
                f"The {what} is not finite at step {self.step}. Start anew with a lower {self.SLOWER}, and --overwrite."
            )
            raise Diverged(msg)

    def save(self, path: Path) -> None:
        """Write everything that a resumed run needs, atomically.

        Raises
        ------
        OutputError
            It cannot be written.
        Diverged
            Something is not finite: the last good state is kept.
        """
        tensors = self.tensors()
        self.check("state", finite=all(bool(tensor.isfinite().all()) for tensor in tensors.values()))
        meta = {
            "format": self.FORMAT,
            "step": str(self.step),
            "config": self.config.model_dump_json(),
            "data": self.data,
        }
        try:
            with atomic_path(path) as temporary:
                write_safetensors(temporary, tensors, meta)
        except OSError as error:
            kept = "the last good one is kept" if path.exists() else "there is none yet"
            msg = (
                f"The training state {path} cannot be written at step {self.step}: {error.strerror or error}; {kept}. "
                "Free some space or mend the folder, then run the same command with --resume."
            )
            raise OutputError(msg) from error

    def load(self, path: Path) -> None:
        """Continue from :meth:`save`; raises :class:`WeightsError` where the file is damaged or fits another configuration."""
        tensors, meta = read_safetensors(path)
        if meta.get("format") != self.FORMAT:
            msg = f"{path}: expected a training state ({self.FORMAT}), got {meta.get('format')!r}; remove it or drop --resume."
            raise WeightsError(msg)
        self._check_settings(path, meta)
        before = self.step
        try:
            broken = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
            if broken:
                msg = f"{broken[0]} holds values that are not finite"
                raise ValueError(msg)  # noqa: TRY301
            self.step = int(meta["step"])
            self.restore(tensors)
        except (KeyError, ValueError, RuntimeError) as error:
            self.step = before
            reason = " ".join(str(error).split())[:200]
            msg = f"{path} is damaged or of another version of zssd ({reason}). Start anew without --resume."
            raise WeightsError(msg) from error

    def _check_settings(self, path: Path, meta: dict[str, str]) -> None:
        kind: type[BaseModel] = type(self.config)
        try:
            # settings that a state of an earlier version lacks have their defaults
            theirs = kind.model_validate_json(meta.get("config", ""))
        except ValidationError as error:
            msg = f"{path} was made by another version of zssd, its settings are not known here. Start anew without --resume."
            raise WeightsError(msg) from error
        names = [name for name in kind.model_fields if name not in self.FREE]
        changed = sorted(name for name in names if getattr(self.config, name) != getattr(theirs, name))
        if changed:
            msg = f"{path} was made with other settings: {', '.join(changed)}. Use the same settings, or start anew without --resume."
            raise WeightsError(msg)
        if meta.get("data", "") != self.data:
            msg = (
                f"{path} was made with other training files, static fields or --from. "
                "Give the same ones, or start anew without --resume."
            )
            raise WeightsError(msg)


def part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those whose names begin with ``prefix``, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def prefixed(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The same with ``prefix`` before every name."""
    return {prefix + name: tensor for name, tensor in tensors.items()}


def optimiser_tensors(optimiser: Optimizer) -> dict[str, Tensor]:
    """What an optimiser remembers of every parameter, as NUMBER.NAME."""
    remembered = optimiser.state_dict()["state"].items()
    return {f"{index}.{name}": tensor for index, state in remembered for name, tensor in state.items()}


def restore_optimiser(optimiser: Optimizer, tensors: dict[str, Tensor]) -> None:
    """Continue from :func:`optimiser_tensors`."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
