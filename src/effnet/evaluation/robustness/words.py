"""What may be said of a network under other conditions, in words."""

from effnet.evaluation.comparison.result import Contrast
from effnet.evaluation.comparison.words import images, p_number, points
from effnet.evaluation.robustness.corrupted import Robustness
from effnet.evaluation.robustness.ensemble import Ensemble
from effnet.evaluation.robustness.resolutions import Resolutions
from effnet.evaluation.robustness.tta import Augmented

ABOUT_VIEWS = {
    "flip": "itself and its mirror image",
    "shifts": "itself, and moved by a sixteenth of its side towards each corner",
    "flip-shifts": "itself, and moved by a sixteenth of its side towards each corner, each also mirrored",
}


def effect(contrast: Contrast) -> str:
    """Say what a combination gains over a single answer, and how sure that is."""
    low, high = contrast.interval
    sign = "" if p_number(contrast.p_value).startswith("<") else "= "
    if contrast.better is None:
        found = "no difference is shown"
    else:
        found = "that is better" if contrast.better == contrast.first else "that is worse"
    return (
        f"{points(contrast.difference)} points against {contrast.second} (95% interval {points(low)} to "
        f"{points(high)}, p {sign}{p_number(contrast.p_value)}): {found}"
    )


def robustness_words(robustness: Robustness) -> str:
    """Say what corruptions cost."""
    return (
        f"under corruption {robustness.top1:.1%} right on average ({between(robustness.interval)}), "
        f"{robustness.clean.top1:.1%} without: {100 * robustness.lost:.1f} points are lost "
        f"({between(robustness.lost_interval)}); mean corruption error {robustness.error:.1%}"
    )


def between(interval: tuple[float, float]) -> str:
    """Write an interval in percent."""
    return f"95% interval {100 * interval[0]:.1f}–{100 * interval[1]:.1f}"


def views_words(augmented: Augmented) -> str:
    """Say what several views of an image bring, and what they cost."""
    count, spent, top1 = augmented.num_views, augmented.milliseconds, augmented.evaluation.top1
    return (
        f"the mean of {count} views of each image ({ABOUT_VIEWS[augmented.name]}) is right about "
        f"{top1:.2%}: {effect(augmented.contrast)}; it costs {count} times the computation, {spent:.3g} ms "
        f"an image instead of {spent / count:.3g}"
    )


def ensemble_words(ensemble: Ensemble) -> str:
    """Say what models gain by answering together, and what that costs."""
    count, best = len(ensemble.comparison.contenders), ensemble.best
    return (
        f"the mean of the probabilities of {count} models is right about {ensemble.evaluation.top1:.2%}: "
        f"{effect(ensemble.contrast)}; {best.label} is the best one on these very images, which favours it; "
        f"together they cost {ensemble.macs / best.cost.macs:.1f} times the computation of {best.label}; "
        f"{hopeless(ensemble.num_hopeless)}"
    )


def hopeless(number: int) -> str:
    """Say how many images no combination of the models can get right by choosing among their answers."""
    if not number:
        return "about each image at least one model is right"
    return f"about {images(number)} every model is wrong"


def resolutions_words(resolutions: Resolutions) -> str:
    """Say at which resolution the network is best, beside its own."""
    best, own = resolutions.best, resolutions.own
    if best.side == own.side:
        return f"no other resolution is better than the {own.side}×{own.side} pixels that it was trained for"
    low, high = best.measured.interval
    is_clear = low > own.measured.top1 or high < own.measured.top1
    return (
        f"best at {best.side}×{best.side} pixels: {best.measured.top1:.1%} right, {own.measured.top1:.1%} at "
        f"the {own.side}×{own.side} that it was trained for"
        + ("" if is_clear else "; that is within the interval, and may be chance")
    )
