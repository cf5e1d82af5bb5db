"""An evaluation in plain sentences, for who reads nothing else."""

from effnet.evaluation.metrics import Evaluation
from effnet.evaluation.mistakes import frequent_confusions, weakest_first
from effnet.evaluation.trust import verdict

MAX_NAMED = 3


def summary(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Say where the network fails and whether its probabilities can be trusted: question and answer."""
    return [
        ("Where does it fail?", failures(evaluation)),
        ("Can its probabilities be trusted?", verdict(evaluation)),
    ]


def failures(evaluation: Evaluation) -> str:
    """Name the class that is recognised worst, and the confusions that are most frequent."""
    missed = [each for each in weakest_first(evaluation.classes) if each.support and each.recall < 1]
    if not missed:
        return "Nowhere on these images: all are right."
    worst = min(missed, key=lambda each: each.recall)
    right = round(worst.recall * worst.support)
    equal = sum(each.recall == worst.recall for each in missed) - 1
    others = f"; {equal} other {'class' if equal == 1 else 'classes'} as seldom" if equal else ""
    pairs = [
        f"{pair.truth} for {pair.predicted} ({pair.count:,} of {evaluation.num_errors:,} errors)"
        for pair in frequent_confusions(evaluation, MAX_NAMED)
    ]
    return (
        f"It recognises {worst.name} least often: {right:,} of {worst.support:,} images{others}. "
        f"Most often it takes {', '.join(pairs)}."
    )
