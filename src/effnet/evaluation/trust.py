"""Whether the probabilities of a network can be trusted, in words."""

from effnet.evaluation.metrics import Evaluation


def trust(evaluation: Evaluation) -> list[str]:
    """Say in a few sentences how far probabilities are from what they mean, and what to do about it."""
    sure, right = float(evaluation.answers.confidence.mean()), evaluation.top1
    mean, high = evaluation.chance_ece
    sentences = [
        verdict(evaluation),
        f"On average the network is {sure:.1%} sure of its answer, and {right:.1%} of the answers are right.",
        f"Sorted into 15 bins by probability, the two are {evaluation.ece:.1%} apart (expected calibration "
        f"error).",
        f"With {evaluation.num_images:,} images, probabilities that are exactly right would show {mean:.1%} "
        f"by chance, and seldom more than {high:.1%}.",
    ]
    before = evaluation.uncalibrated
    if before is not None:
        sentences.append(
            f"Before calibration it was {before.ece:.1%}; the outputs are divided by a temperature of "
            f"{evaluation.temperature:.3f}."
        )
    elif evaluation.ece > high:
        sentences.append("Calibration may help: effnet evaluate MODEL DATA --calibrate.")
    return sentences


def verdict(evaluation: Evaluation) -> str:
    """Say in a sentence whether probabilities mean what they say."""
    if evaluation.ece <= evaluation.chance_ece[1]:
        return "Yes: they are no further off than chance alone explains."
    if float(evaluation.answers.confidence.mean()) > evaluation.top1:
        return "Not quite: the network is surer than it is right."
    return "Not quite: the network is right more often than it says."
