"""A GPU for machines that have none: the numbers of the processor, the rules of a GPU about where tensors are.

Tensors are marked by their storage. One that is asked for on ``cuda`` is made on the processor and marked, says that its device
is ``cuda:0``, and marks what is computed from it. An operation on marked and other tensors fails as it would on a GPU; so
does handing a marked one to numpy. Values are real, so code that looks at them takes the ways that it takes on a GPU
(torch's FakeTensorMode has no values, and stops at the first ``if``).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

GPU = torch.device("cuda", 0)
INDEXING = ("aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_", "aten::_unsafe_index")
"""A GPU's tensor may be indexed by one of the processor."""
NEW = (Tensor.new_tensor, Tensor.new_zeros, Tensor.new_ones, Tensor.new_full, Tensor.new_empty)


class _Marks:
    """Storages that count as the GPU's. A weak reference keeps the address from being used again."""

    def __init__(self) -> None:
        self._known: dict[int, StorageWeakRef] = {}

    def add(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        self._known[storage._cdata] = StorageWeakRef(storage)
        return tensor

    def has(self, tensor: Tensor) -> bool:
        return tensor.untyped_storage()._cdata in self._known


class _Operations(TorchDispatchMode):
    """Marks results, refuses mixtures."""

    def __init__(self, marks: _Marks) -> None:
        super().__init__()
        self._marks, self._marking = marks, True

    @contextmanager
    def unmarked(self) -> Iterator[None]:
        """Inside, operations neither look for marks nor make any."""
        before, self._marking = self._marking, False
        try:
            yield
        finally:
            self._marking = before

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not self._marking:
            return func(*args, **kwargs)
        name = func.name().partition(".")[0]
        looked_at = (args[0], *args[2:]) if name in INDEXING else (args, kwargs)
        tensors = [leaf for leaf in tree_leaves(looked_at) if isinstance(leaf, Tensor)]
        there = [self._marks.has(tensor) for tensor in tensors]
        # a single number of the processor may go along with a GPU's tensors
        here = [tensor for tensor, marked in zip(tensors, there, strict=True) if not marked and tensor.ndim]
        if any(there) and here and name != "aten::copy_":
            msg = f"{func.name()}: expected all tensors on one device, got cuda:0 and cpu {[tuple(t.shape) for t in here]}"
            raise RuntimeError(msg)
        result = func(*args, **kwargs)
        if any(there) and name != "aten::copy_":
            for leaf in tree_leaves(result):
                if isinstance(leaf, Tensor):
                    self._marks.add(leaf)
        return result


class _Move(torch.autograd.Function):
    """From one device to the other; the gradient comes back."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, calls: "_Calls", to_gpu: bool) -> Tensor:
        ctx.calls, ctx.to_gpu = calls, to_gpu
        return calls.moved(tensor, to_gpu)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return ctx.calls.moved(gradient, not ctx.to_gpu), None, None


class _Calls(TorchFunctionMode):
    """Answers questions about devices, makes and moves tensors."""

    def __init__(self, marks: _Marks, operations: _Operations) -> None:
        super().__init__()
        self._marks, self._operations = marks, operations

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        first = args[0] if args and isinstance(args[0], Tensor) else None
        marked = first is not None and self._marks.has(first)
        if func == Tensor.device.__get__ and marked:
            return GPU
        if func == Tensor.is_cuda.__get__:
            return marked
        if func is Tensor.pin_memory:
            return first
        if func in (Tensor.numpy, Tensor.__array__) and marked:
            msg = "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first."
            raise TypeError(msg)
        wanted, args, kwargs = self._wanted(func, args, kwargs)
        if wanted is None:
            result = func(*args, **kwargs)
            return self._marks.add(result) if func in NEW and marked else result
        if first is None:
            result = func(*args, **kwargs)
            return self._marks.add(result) if wanted else result
        if marked == wanted:
            return func(*args, **kwargs)
        with self._operations.unmarked():
            return _Move.apply(func(*args, **kwargs), self, wanted)

    def moved(self, tensor: Tensor, to_gpu: bool) -> Tensor:
        """A copy there."""
        with self._operations.unmarked():
            copy = tensor.clone()
        return self._marks.add(copy) if to_gpu else copy

    def _wanted(self, func: Any, args: Any, kwargs: dict[str, Any]) -> tuple[bool | None, Any, dict[str, Any]]:
        """Whether the GPU is asked for (None: no device is), and the arguments with the processor in its place."""
        if func in (Tensor.cpu, Tensor.cuda):
            return func is Tensor.cuda, args[:1], {}
        moves = func is Tensor.to
        if moves and len(args) > 1 and isinstance(args[1], Tensor):
            return self._marks.has(args[1]), args, kwargs
        if func is torch._C._nn._parse_to:  # what Module.to reads its arguments with
            return None, args, kwargs
        place = next((a for a in args[1:2] if moves and isinstance(a, str | torch.device)), kwargs.get("device"))
        if place is None:
            return None, args, kwargs
        if kwargs.get("device") is not None:
            kwargs["device"] = "cpu"
        else:
            args = (args[0], "cpu", *args[2:])
        return torch.device(place).type == "cuda", args, kwargs


@contextmanager
def pretended_gpu() -> Iterator[None]:
    """Inside, ``cuda`` is a device that tensors can be made on and moved to."""
    marks = _Marks()
    operations = _Operations(marks)
    with operations, _Calls(marks, operations):
        yield
