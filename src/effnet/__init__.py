"""effnet: find, train, explain and ship the right-sized EfficientNet for your own images and budget."""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# From 1.29 on onnxruntime reports to its maker which networks it computes, and keeps an id of the machine in
# ~/.cache, unless this is set before it is imported. What effnet computes is its user's business alone.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from effnet.benching.run import bench as bench
    from effnet.cluster.machines import Cluster as Cluster
    from effnet.data.sharded.run import shard as shard
    from effnet.doctor.run import check as check
    from effnet.errors import EffnetError as EffnetError
    from effnet.evaluation.comparison.compare import compare as compare
    from effnet.evaluation.comparison.page import write_comparison as write_comparison
    from effnet.evaluation.explanation_page import write_explanations as write_explanations
    from effnet.evaluation.html import write_report as write_report
    from effnet.evaluation.robustness.ensemble import ensemble as ensemble
    from effnet.evaluation.robustness.questions import resolutions as resolutions
    from effnet.evaluation.robustness.questions import robustness as robustness
    from effnet.evaluation.robustness.questions import views as views
    from effnet.evaluation.temperature import calibrate as calibrate
    from effnet.exporting.half import export_half as export_half
    from effnet.exporting.handing import export_to as export_to
    from effnet.exporting.run import export as export
    from effnet.importing.run import import_model as import_model
    from effnet.inference.server.run import serve as serve
    from effnet.inference.tofile import predict_to as predict_to
    from effnet.loading import load as load
    from effnet.network.model import create_model as create_model
    from effnet.sizing.budget.run import budget as budget
    from effnet.sizing.budget.sized_training import train as train
    from effnet.sizing.search.run import search as search
    from effnet.sizing.study.run import study as study
    from effnet.spec.cost import cost as cost
    from effnet.spec.families import get_spec as get_spec
    from effnet.spec.netspec import NetSpec as NetSpec
    from effnet.spec.scale import Coefficients as Coefficients
    from effnet.spec.scale import scale as scale
    from effnet.training.resuming import resume as resume

# Public names and the modules they live in. A name is imported when it is first used, so that
# `import effnet` costs nothing and `effnet --help` needs no torch.
_PUBLIC = {
    "EffnetError": "effnet.errors",
    "NetSpec": "effnet.spec.netspec",
    "Coefficients": "effnet.spec.scale",
    "Cluster": "effnet.cluster.machines",
    "get_spec": "effnet.spec.families",
    "cost": "effnet.spec.cost",
    "scale": "effnet.spec.scale",
    "create_model": "effnet.network.model",
    "bench": "effnet.benching.run",
    "budget": "effnet.sizing.budget.run",
    "train": "effnet.sizing.budget.sized_training",
    "resume": "effnet.training.resuming",
    "check": "effnet.doctor.run",
    "load": "effnet.loading",
    "export": "effnet.exporting.run",
    "export_half": "effnet.exporting.half",
    "export_to": "effnet.exporting.handing",
    "import_model": "effnet.importing.run",
    "serve": "effnet.inference.server.run",
    "predict_to": "effnet.inference.tofile",
    "search": "effnet.sizing.search.run",
    "calibrate": "effnet.evaluation.temperature",
    "compare": "effnet.evaluation.comparison.compare",
    "robustness": "effnet.evaluation.robustness.questions",
    "resolutions": "effnet.evaluation.robustness.questions",
    "views": "effnet.evaluation.robustness.questions",
    "ensemble": "effnet.evaluation.robustness.ensemble",
    "write_report": "effnet.evaluation.html",
    "write_comparison": "effnet.evaluation.comparison.page",
    "write_explanations": "effnet.evaluation.explanation_page",
    "study": "effnet.sizing.study.run",
    "shard": "effnet.data.sharded.run",
}

__all__ = [
    "Coefficients",
    "EffnetError",
    "NetSpec",
    "__version__",
    "bench",
    "budget",
    "calibrate",
    "check",
    "compare",
    "cost",
    "create_model",
    "ensemble",
    "export",
    "export_half",
    "export_to",
    "get_spec",
    "import_model",
    "load",
    "predict_to",
    "resolutions",
    "resume",
    "robustness",
    "scale",
    "search",
    "serve",
    "shard",
    "study",
    "train",
    "views",
    "write_comparison",
    "write_explanations",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'effnet' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
