"""A CUDA device that only pretends: shapes and devices are checked, nothing is computed and no GPU is needed."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode


class HostReads(TorchDispatchMode):
    """Answers and counts what the host asks the device for, each of which would wait for a real one.

    A fake tensor has no values, so `bool(tensor)` is answered with True and `int(tensor)` with 2.
    """

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            self.count += 1
            return True if args[0].dtype == torch.bool else 2
        return func(*args, **(kwargs or {}))


@pytest.fixture
def fake_cuda() -> Iterator[Callable[[], Any]]:
    """Within the fixture all tensors are fake; `with fake_cuda():` makes new ones on the fake CUDA device.

    Code under test runs outside that block, so that a tensor it makes without naming a device is a CPU tensor and
    fails as it would on a GPU. `fake_cuda.reads.count` tells how often the host waited for the device.
    """

    @contextmanager
    def on_device() -> Iterator[None]:
        with torch.device("cuda"):
            yield

    with ExitStack() as stack:
        stack.enter_context(FakeTensorMode())
        on_device.reads = stack.enter_context(HostReads())  # type: ignore[attr-defined]
        yield on_device
