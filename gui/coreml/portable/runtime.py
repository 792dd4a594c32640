"""The portable runtime: loads components of a model for `PortableModel`."""

from __future__ import annotations

import torch

from gui import words
from gui.coreml.adapted import adapted, with_pictures
from gui.coreml.back_ends import chosen
from gui.coreml.loaded import LoadedModel
from gui.coreml.model import ComponentInfo, ComponentKind
from gui.coreml.portable.lower import Compute
from gui.coreml.portable.model import PortableModel, read_stages
from gui.coreml.portable.room import check_room, weight_bytes
from gui.coreml.resources import usable_cores
from gui.errors import ErrorKind, SfumatoError
from gui.request import ComputeUnit

IN_BF16 = frozenset(
    (
        ComponentKind.UNET,
        ComponentKind.CONTROL_UNET,
        ComponentKind.CONTROLNET,
        ComponentKind.REFINER,
        ComponentKind.MMDIT,
        ComponentKind.VAE_ENCODER,
        ComponentKind.VAE_DECODER,
    )
)
"""Networks that are most of the work.  Text encoders and the safety checker take little time, and
what they err goes into all that follows."""

MOST_THREADS = 16
"""Beyond these the threads of one layer mostly wait for one another, and for the memory."""


class PortableRuntime:
    """Computes Core ML programs on the CPU, on every machine (see `gui.coreml.runtime`).

    Args:
        compute: ``fp32``, ``bf16`` (of `IN_BF16` alone) or ``emulate_fp16`` (see `Compute`).
        threads: torch threads; None: torch's own choice, one for each physical core, but no more
            than this process has cores (torch overlooks a container's share of their time), nor
            than `MOST_THREADS`.  Process-wide, as torch has it; OpenVINO gets as
            many.
        back_end: a `gui.coreml.back_ends.BackEnd`; None: as the environment says.
    """

    def __init__(
        self, compute: str = "fp32", threads: int | None = None, back_end: str | None = None
    ) -> None:
        self._back_end = chosen(back_end)
        try:
            self._compute = Compute(compute)
        except ValueError as error:
            raise SfumatoError(
                ErrorKind.BAD_REQUEST,
                f"There is no way of computing called {compute!r}; choose another.",
            ) from error
        if threads is None:
            threads = min(torch.get_num_threads(), usable_cores(), MOST_THREADS)
        if threads != torch.get_num_threads():
            torch.set_num_threads(max(1, threads))

    @property
    def name(self) -> str:
        return "portable"

    def load(self, component: ComponentInfo, compute_unit: ComputeUnit) -> LoadedModel:
        """Load every file of `component`; the compute unit makes no difference here.

        Raises:
            SfumatoError: BAD_MODEL, UNSUPPORTED or MEMORY.
        """
        return adapted(component, lambda own: with_pictures(own, self._load(own)))

    def _load(self, component: ComponentInfo) -> PortableModel:
        compute = self._compute
        if compute is Compute.BF16 and component.kind not in IN_BF16:
            compute = Compute.FP32
        stages = [
            stage for file in component.files for stage in read_stages(file, component.function)
        ]
        size = 2 if compute is Compute.BF16 else 4
        needed = weight_bytes((stage.function for stage in stages), size)
        check_room(f"The {words.component(component.kind)}", needed)
        return PortableModel(
            stages,
            compute,
            back_end=self._back_end,
            outputs=[spec.name for spec in component.outputs] or None,
            optional=frozenset(spec.name for spec in component.inputs if spec.optional),
        )
