"""A linear probe: how far the features of a network go, in seconds."""

from dataclasses import replace
from pathlib import Path
from time import perf_counter

import torch

from effnet.data.loaders import EvalLoader
from effnet.data.pixels import PixelFormat, Reading
from effnet.data.storage import open_pixels
from effnet.data.stream import released
from effnet.device import kept_memory, to_device
from effnet.evaluation.classifier import Classifier
from effnet.evaluation.opened import BATCH_SIZE
from effnet.network.model import ConvNet
from effnet.training import state as states
from effnet.training.folder import MODEL_FILE, locked
from effnet.training.kept import Best, copy_weights
from effnet.training.parts import Parts, announce
from effnet.training.regression import Features, Linear, Regression, choose
from effnet.training.reporter import Reporter
from effnet.training.results import TrainResult, draw_pictures, header_of, record_of, save_model


def run_probe(parts: Parts, folder: Path, reporter: Reporter, started: float) -> TrainResult:
    """Fit a logistic regression to the features of the weights that a training would begin with.

    No weight of the network moves, and no image is augmented: each is looked at once. The strength of the
    regularisation is chosen on the validation images. The model file is like any other: its classifier is the
    regression, with the standardisation of the features folded in.

    Raises:
        DataError: too many images are unreadable, or all of a class.

    """
    with locked(folder), kept_memory(parts.device):
        states.remove(folder)  # `overwrite` was said, or there is none
        announce(reporter, parts)
        network = ConvNet(parts.spec, len(parts.dataset.class_names))
        network.load_state_dict(parts.start, strict=False)
        network = to_device(network, parts.device).eval()
        train, val = (features_of(network, parts, part, reporter) for part in ("train", "val"))
        found, linear = choose(train, val, parts.dataset.class_names, parts.config.data.balance)
        reporter.message(words(found, len(train[1])))
        put_in(network, linear)
        correct = linear.logits(val[0]).argmax(1) == val[1]
        best = Best(copy_weights(network), 0, False, found.top1, found.loss, correct)
        training = record_of(parts, {"train": len(train[1]), "val": len(val[1])}) | {"probe": found.to_dict()}
        header = header_of(parts, training)
        save_model(folder / MODEL_FILE, header, best)  # whatever becomes of the test part
        classifier = Classifier(header, network, parts.device)
        evaluation = classifier.evaluate(parts.dataset, say=reporter.message)
        seconds = perf_counter() - started
        measured = {
            evaluation.split: evaluation.summary(),
            "epochs": 0,
            "steps": 0,
            "seconds": round(seconds, 1),
        }
        header = replace(header, metrics=measured)
        save_model(folder / MODEL_FILE, header, best)
        classifier = Classifier(header, network, parts.device, folder / MODEL_FILE)
        result = TrainResult(folder, classifier, best, evaluation, seconds, found)
        draw_pictures(result, parts.dataset)
        return result


def features_of(network: ConvNet, parts: Parts, part: str, reporter: Reporter) -> Features:
    """Return pooled features of the images of a part, each seen once as in evaluation."""
    samples = parts.splits.train if part == "train" else parts.splits.val
    reading = Reading(
        parts.config.data,
        parts.device,
        on_read=lambda done, total: reporter.reading(part, done, total),
        say=reporter.message,
    )
    pixels = open_pixels(samples, PixelFormat(parts.preprocess, parts.preprocess.resolution), reading)
    with released(pixels), torch.inference_mode():
        pairs = [
            (network.features(images).mean((2, 3)).float().cpu(), labels.cpu())
            for images, labels in EvalLoader(pixels, parts.preprocess, BATCH_SIZE)
        ]
    return torch.cat([features for features, _ in pairs]), torch.cat([labels for _, labels in pairs])


def put_in(network: ConvNet, linear: Linear) -> None:
    """Make a regression the classifier of a network."""
    with torch.no_grad():
        network.classifier.weight.copy_(linear.weight)
        network.classifier.bias.copy_(linear.bias)


def words(found: Regression, num_images: int) -> str:
    """Say what was chosen."""
    unfinished = "" if found.converged else "; warning: the solver did not come to its end"
    return (
        f"logistic regression on {found.num_features:,} features of {num_images:,} images: C = {found.C:.3g} "
        f"is best on the validation images, {found.top1:.2%} right{unfinished}"
    )
