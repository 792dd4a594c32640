"""One side of a comparison: a process of its own, with the environment that its users have.

``python -m tests.bench.side ours|theirs NETWORK THREADS``: loads the network, which is when it is
compiled for so many threads, then takes lines on stdin: ``run`` makes a step, ``keep FILE`` writes
the last result.  Each is answered by a line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable

import numpy as np

_WARM_UP = 1


def _ours(name: str, threads: int) -> Callable[[], np.ndarray]:
    from gui.coreml.portable import (  # first: it sets up the allocator
        PortableModel,
        PortableRuntime,
        read_stages,
    )
    from tests.bench.networks import NETWORKS, OUTPUT, package

    PortableRuntime(threads=threads)  # sets them
    model = PortableModel(read_stages(package(name)))
    arrays = {name: tensor.numpy() for name, tensor in NETWORKS[name].inputs().items()}
    return lambda: model(arrays)[OUTPUT]


def _theirs(name: str, threads: int) -> Callable[[], np.ndarray]:
    import torch

    from tests.bench.networks import NETWORKS, Called

    torch.set_num_threads(threads)
    shape = NETWORKS[name]
    network, tensors = Called(shape.build(), shape, plain=True), tuple(shape.inputs().values())

    def step() -> np.ndarray:
        with torch.inference_mode():
            return network(*tensors).numpy()

    return step


def main() -> None:
    # What libraries print is none of the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(**values: float) -> None:
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    side, name, threads = sys.argv[1:]
    begun = time.perf_counter()
    step = {"ours": _ours, "theirs": _theirs}[side](name, int(threads))
    load = time.perf_counter() - begun
    result = np.empty(0)
    for _ in range(_WARM_UP):
        result = step()
    answer(load=load)
    for line in sys.stdin:
        order, _, value = line.strip().partition(" ")
        if order == "keep":
            np.save(value, result)
            answer()
            continue
        wall, cpu = time.perf_counter(), time.process_time()
        result = step()
        answer(wall=time.perf_counter() - wall, cpu=time.process_time() - cpu)


if __name__ == "__main__":
    main()
