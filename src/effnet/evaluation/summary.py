"""An evaluation in plain sentences, for who reads nothing else."""

from effnet.evaluation.metrics import Evaluation
from effnet.evaluation.mistakes import frequent_confusions, weakest_first
from effnet.evaluation.trust import verdict

MAX_NAMED = 3


def summary(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Say where the network fails and whether its probabilities can be trusted: question and answer."""
    return [
        ("Where does it fail?", f"{guessing(evaluation)}{failures(evaluation)}"),
        ("Can its probabilities be trusted?", confidence(evaluation)),
    ]


def confidence(evaluation: Evaluation) -> str:
    """Say whether probabilities mean what they say, and how sure and how right the network is."""
    sure = float(evaluation.answers.confidence.mean())
    return f"{verdict(evaluation)} On average it is {sure:.1%} sure, and {evaluation.top1:.1%} right."


def guessing(evaluation: Evaluation) -> str:
    """Say so if always naming the most frequent class would do as well, as far as these images show."""
    most = max(evaluation.classes, key=lambda each: each.support)
    share = most.support / evaluation.num_images
    if evaluation.interval[0] > share:
        return ""
    return (
        f"It is not shown to be better than saying {most.name} of every image, which is right about "
        f"{share:.1%}. "
    )


def failures(evaluation: Evaluation) -> str:
    """Name the class that is recognised worst, and the confusions that are most frequent."""
    missed = [each for each in weakest_first(evaluation.classes) if each.support and each.recall < 1]
    if not missed:
        return "Nowhere on these images: all are right."
    worst = min(missed, key=lambda each: each.recall)
    right = round(worst.recall * worst.support)
    equal = sum(each.recall == worst.recall for each in missed) - 1
    others = f"; {equal} other {'class' if equal == 1 else 'classes'} as seldom" if equal else ""
    return (
        f"It recognises {worst.name} least often: {right:,} of {worst.support:,} images{others}. "
        f"{confused(evaluation)}"
    )


def confused(evaluation: Evaluation) -> str:
    """Name the pairs of classes that are confused more than once, the most frequent first."""
    found = frequent_confusions(evaluation, MAX_NAMED)
    often = [pair for pair in found if pair.count > 1 or evaluation.num_errors == 1]
    if not often:
        return "No class is taken for the same other one more than once."
    total = "1 error" if evaluation.num_errors == 1 else f"{evaluation.num_errors:,} errors"
    pairs = [f"{pair.truth} for {pair.predicted} ({pair.count:,} of {total})" for pair in often]
    return f"Most often it takes {', '.join(pairs)}."
