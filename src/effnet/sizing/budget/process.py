"""A process that does nothing but predict one batch, so that its memory can be read from outside.

`python -m effnet.sizing.budget.process` reads a JSON object, predicts, prints a JSON object, and ends when
its input does. With onnxruntime no torch is loaded, as where an exported network is used.
"""

import json
import sys
from pathlib import Path
from typing import Any

NUM_PREDICTIONS = 2  # after the first one the allocator keeps holes


def main() -> None:
    """Do what is asked, and wait to be looked at."""
    asked = json.loads(sys.stdin.readline())
    sys.stdout.write(json.dumps(PREDICT[asked["runtime"]](asked)) + "\n")
    sys.stdout.flush()
    sys.stdin.read()


def by_torch(asked: dict[str, Any]) -> dict[str, int | None]:
    """Build a network and predict, as `effnet predict` does; return the bytes taken on a GPU, if on one."""
    import torch

    import effnet.evaluation.classifier  # noqa: F401 (what `effnet predict` loads)
    from effnet.device import kept_memory, pick_device, to_device
    from effnet.evaluation.metrics import predict_probs
    from effnet.network.model import ConvNet
    from effnet.spec import netspec

    torch.set_num_threads(asked["threads"])
    device = pick_device(asked["device"])
    spec = netspec.from_dict(asked["spec"])
    with kept_memory(device):
        network = to_device(ConvNet(spec, asked["classes"]), device).eval()
        images = torch.rand(asked["shape"])
        for _ in range(NUM_PREDICTIONS):
            predict_probs(network, images, device)
    return {"on_gpu": torch.cuda.max_memory_reserved(device) if device.type == "cuda" else None}


def by_onnxruntime(asked: dict[str, Any]) -> dict[str, int | None]:
    """Load an ONNX file and predict."""
    import numpy as np

    from effnet.exporting.onnx import INPUT, OUTPUT, open_session

    session = open_session(Path(asked["model"]), asked["threads"])
    images = np.random.default_rng(0).random(asked["shape"], np.float32)
    for _ in range(NUM_PREDICTIONS):
        session.run([OUTPUT], {INPUT: images})
    return {"on_gpu": None}


PREDICT = {"torch": by_torch, "onnxruntime": by_onnxruntime}

if __name__ == "__main__":
    main()
