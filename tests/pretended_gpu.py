"""dawgen's command line on a GPU that is none: tensors that say they are on cuda:0.

    python -m tests.pretended_gpu run TASK ... -s backbone.device=cuda:0

Their numbers are kept on the CPU. An operation on tensors of both places raises, as on a GPU, and
so does a conversion to NumPy. Only for a process of its own: it changes torch for good.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import transformers
from torch.overrides import _get_current_function_mode_stack
from torch.utils import _device
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

PLACE = torch.device("cuda", 0)
_MAY_BE_HERE = {"aten::index", "aten::_unsafe_index", "aten::index_put", "aten::index_put_"}
"""Operations whose indices may be on the CPU."""
_loading: list[bool] = []


class There(torch.Tensor):
    """A tensor that says it is on the GPU; to C++ it is one without numbers, on no device."""

    elem: torch.Tensor

    @staticmethod
    def __new__(cls, elem: torch.Tensor) -> There:
        self: There = torch.Tensor._make_wrapper_subclass(
            cls,
            elem.size(),
            strides=elem.stride(),
            storage_offset=elem.storage_offset(),
            dtype=elem.dtype,
            layout=elem.layout,
            device="meta",
            requires_grad=elem.requires_grad,
        )
        self.elem = elem
        return self

    device = property(lambda self: PLACE)  # type: ignore[assignment]
    is_cuda = property(lambda self: True)  # type: ignore[assignment]
    is_meta = property(lambda self: False)  # type: ignore[assignment]

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"There({self.elem})"

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(_without_lists(key))

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(_without_lists(key), value)

    def tolist(self) -> Any:
        return self.elem.detach().tolist()

    def numpy(self, **_: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    __array__ = numpy

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return _run(func, args, kwargs or {})


class Pretend(TorchDispatchMode):
    """Makes tensors that are asked for on cuda:0."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """An operation on the numbers, if all of them are in one place."""
    given = [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
    there = [each for each in given if isinstance(each, There)]
    name, target = func._schema.name, kwargs.get("device")
    if there and name != "aten::copy_":
        must = args if name not in _MAY_BE_HERE else [args[0], *args[2:]]
        _all_there([each for each in tree_leaves(must) if isinstance(each, torch.Tensor)], name)
    to_there = _is_there(target)
    if (there or to_there) and kwargs.get("generator") is not None:
        raise RuntimeError(f"Expected a 'cuda' device type for generator but found 'cpu': {name}")
    plain, named = tree_map(lambda x: x.elem if isinstance(x, There) else x, (args, kwargs))
    if to_there or (there and target is not None):
        named["device"] = torch.device("cpu") if to_there else target
        named.pop("pin_memory", None)
    found = func(*plain, **named)
    if name == "aten::copy_":
        return args[0]
    if name == "aten::_local_scalar_dense" or not (to_there if target is not None else there):
        return found
    same = {id(each.elem): each for each in there}
    return tree_map(lambda x: _wrapped(x, same), found)


def _wrapped(x: Any, same: dict[int, There]) -> Any:
    """An operation in place gives back the tensor that it was given."""
    if not isinstance(x, torch.Tensor) or isinstance(x, There):
        return x
    return same[id(x)] if id(x) in same else There(x)


def _all_there(tensors: list[torch.Tensor], name: str) -> None:
    here = [each for each in tensors if not isinstance(each, There) and each.dim()]
    if here:
        raise RuntimeError(
            "Expected all tensors to be on the same device, but found at least two devices, "
            f"cuda:0 and cpu, in {name}"
        )


def _is_there(device: Any) -> bool:
    """C++ takes our tensors for some on the device meta and asks for more of them, but so do
    models that are being loaded."""
    if device is None:
        return False
    kind = torch.device(device).type
    if kind != "meta":
        return kind == "cuda"
    modes = _get_current_function_mode_stack()
    return not _loading and not any(isinstance(mode, _device.DeviceContext) for mode in modes)


def _without_lists(key: Any) -> Any:
    """C++ would put the numbers of a list on the device meta, and lose them."""
    if isinstance(key, tuple):
        return tuple(map(_without_lists, key))
    is_numbers = isinstance(key, list | range) and len(key) > 0 and not isinstance(key[0], bool)
    return _tensor(key, dtype=torch.long) if is_numbers else key


_tensor = torch.tensor


def _made_here(make: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    def wrapped(data: Any, *args: Any, device: Any = None, **kwargs: Any) -> torch.Tensor:
        made = make(data, *args, **kwargs)
        return There(made) if _is_there(device) else made

    return wrapped


@contextmanager
def _load() -> Iterator[None]:
    _loading.append(True)
    try:
        yield
    finally:
        _loading.pop()


def pretend() -> Pretend:
    """Change torch and transformers; the context in which there is a GPU."""
    _device._device_constructors()  # remembers torch.tensor as it is now
    torch.tensor = _made_here(torch.tensor)
    torch.as_tensor = _made_here(torch.as_tensor)
    no_grad = torch.no_grad
    torch.inference_mode = lambda mode=True: no_grad() if mode is True else no_grad()(mode)  # type: ignore[assignment,misc,return-value]
    load = transformers.PreTrainedModel.from_pretrained.__func__

    def from_pretrained(cls: Any, *args: Any, **kwargs: Any) -> Any:
        with _load():
            return load(cls, *args, **kwargs)

    transformers.PreTrainedModel.from_pretrained = classmethod(from_pretrained)

    def nothing(*_: Any, **__: Any) -> int:
        return 0

    for name in (
        *("_lazy_init", "synchronize", "empty_cache", "reset_peak_memory_stats"),
        *("memory_reserved", "memory_allocated", "max_memory_allocated"),
    ):
        setattr(torch.cuda, name, nothing)
    torch.cuda.is_available = lambda: True
    torch.cuda.is_bf16_supported = lambda *args, **kwargs: True
    torch.cuda.device_count = lambda: 1
    torch.cuda.mem_get_info = lambda *args: (2**34, 2**35)
    torch.cuda.get_device_name = lambda *args: "pretended"
    return Pretend()


if __name__ == "__main__":
    with pretend():
        from dawgen.backbone import counting
        from dawgen.cli import main

        counting.linear = lambda *_: torch.zeros(())  # large products take a processor minutes

        sys.exit(main(sys.argv[1:]))
