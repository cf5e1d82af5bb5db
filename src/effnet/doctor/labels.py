"""Labels that do not fit their image, in the judgement of classifiers that have not seen them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from effnet.doctor.features import Features
from effnet.doctor.findings import Finding
from effnet.doctor.folds import NUM_FOLDS, Dealt, Rows, cross_validate, deal
from effnet.doctor.noise import LIKELY, Floats, Noise, discounted, fit_noise
from effnet.doctor.reporter import Progress
from effnet.doctor.survey import Survey

MAX_PROBS = 100_000_000  # images times classes: 0.8 GB for each array of them
MIN_LISTED, LISTED_SHARE = 40, 0.01  # so many are listed in any case, or that share of the images


@dataclass(frozen=True, eq=False)
class Suspects:
    """Images whose label fits badly, the worst first, and how far that can be trusted."""

    rows: Rows
    """Places in the survey, `(M,)`."""
    suggested: Rows
    """Label of the most probable class, `(M,)`."""
    wrong: Floats
    """Probability that the label is wrong, `(M,)`, falling."""
    noise: Noise
    accuracy: float
    """Share of the images whose label is the most probable class."""
    power: float
    """Share of labels that would be listed here if they were replaced by another one, drawn at random."""
    num_judged: int
    origin: str
    """What the images were judged by."""
    is_by_network: bool
    has_seen: bool
    """Whether a network judged that learned from these very labels."""

    @property
    def num_likely(self) -> int:
        """How many labels are more probably wrong than right; they come first."""
        return int((self.wrong > LIKELY).sum())


def judge(features: Features, labels: Rows, groups: Rows, on_progress: Progress) -> Suspects | str:
    """Find the labels that classifiers do not expect which have not seen them.

    Args:
        features: of the images, `(N, D)`.
        labels: as given, `(N,)`.
        groups: the same number for copies of one another, `(N,)`.
        on_progress: told how far it is.

    Returns:
        The suspects, or why nothing can be said.

    """
    dealt = deal(labels, groups)
    if len(dealt.classes) < 2:
        return f"fewer than two classes have at least {NUM_FOLDS} different images"
    if len(dealt.rows) * len(dealt.classes) > MAX_PROBS:
        return (
            f"{len(dealt.rows):,} images of {len(dealt.classes):,} classes are too many to judge at once; "
            f"check a part of the data"
        )
    return suspect(cross_validate(features, dealt, on_progress), dealt, features)


def suspect(probs: Floats, dealt: Dealt, features: Features) -> Suspects:
    """Rank the images whose label is not the most probable class of `probs (N, K)`, least expected first.

    cleanlab ranks; how many of the first ones to believe says `Noise`. cleanlab's own counts take the
    classifier's doubts for errors: it counts 2,300 wrong labels in 10,000 images of CIFAR-10 as they are.
    """
    from cleanlab.filter import find_label_issues

    noise = fit_noise(probs, dealt.labels)
    probs = noise.tempered(probs)
    num_images, num_classes = probs.shape
    ranked = find_label_issues(
        dealt.labels,
        probs,
        filter_by="predicted_neq_given",
        return_indices_ranked_by="self_confidence",
        n_jobs=1,
    )
    given, best = probs[np.arange(num_images), dealt.labels], probs.argmax(1)
    wrong = discounted(noise.wrong(given[ranked], num_classes), len(ranked))
    num_listed = max(MIN_LISTED, round(LISTED_SHARE * num_images), int((wrong > LIKELY).sum()))
    listed = ranked[:num_listed]
    limit = given[listed[-1]] if len(listed) == num_listed else 1.0
    return Suspects(
        rows=dealt.rows[listed],
        suggested=dealt.classes[best[listed]],
        wrong=wrong[:num_listed],
        noise=noise,
        accuracy=float((best == dealt.labels).mean()),
        power=power(probs, dealt.labels, limit),
        num_judged=num_images,
        origin=features.origin,
        is_by_network=features.is_by_network,
        has_seen=features.has_seen,
    )


def power(probs: Floats, labels: Rows, limit: float) -> float:
    """Return the share of images that would be listed if they had another label, drawn at random.

    An image's probabilities do not depend on its own label, so to exchange it is no new cross-validation.

    Args:
        probs: of all images, `(N, K)`.
        labels: as given, `(N,)`.
        limit: probability of its label up to which an image is listed.

    """
    num_images, num_classes = probs.shape
    drawn = np.random.default_rng(0).integers(1, num_classes, num_images)
    exchanged = (labels + drawn) % num_classes
    is_odd = probs.argmax(1) != exchanged
    return float((is_odd & (probs[np.arange(num_images), exchanged] <= limit)).mean())


def label_findings(survey: Survey, suspects: Suspects) -> Iterator[Finding]:
    """Yield a finding for each suspect."""
    names, class_names = survey.samples.names, survey.dataset.class_names
    for row, label, wrong in zip(suspects.rows, suspects.suggested, suspects.wrong, strict=True):
        ours, theirs = class_names[survey.samples.labels[row]], class_names[label]
        kind = "label" if wrong > LIKELY else "doubt"
        yield Finding(
            kind,
            f"called {ours}, looks like {theirs}",
            names[row],
            survey.part_names[survey.parts[row]],
            ours,
            suggestion=f"Look at it; if it is {theirs}, move it there." if kind == "label" else "",
            score=round(float(wrong), 4),
        )
