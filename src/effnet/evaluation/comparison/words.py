"""What may be said of a comparison, in words."""

from effnet.evaluation.comparison.result import LEVEL, Comparison, Contrast


def points(difference: float) -> str:
    """Write a difference of accuracies in points of percent."""
    return f"{100 * difference:+.2f}".replace("-", "−")


def p_number(p_value: float) -> str:
    """Write a p-value with two digits; a tiny one has no meaning of its own."""
    return "< 0.0001" if p_value < 0.0001 else f"{p_value:.2g}"


def pair_words(contrast: Contrast) -> str:
    """Say what is known of a pair, in a line."""
    low, high = contrast.interval
    sign = "" if p_number(contrast.p_value).startswith("<") else "= "
    found = "no difference is shown" if contrast.better is None else f"{contrast.better} is better"
    return (
        f"{contrast.first} − {contrast.second}: {points(contrast.difference)} points "
        f"(95% interval {points(low)} to {points(high)}, p {sign}{p_number(contrast.p_value)}): {found}; "
        f"only {contrast.first} is right on {images(contrast.only_first)}, "
        f"only {contrast.second} on {images(contrast.only_second)}"
    )


def images(count: int) -> str:
    """Count images."""
    return f"{count:,} image{'' if count == 1 else 's'}"


def verdict(comparison: Comparison) -> str:
    """Say in a sentence what the comparison shows."""
    best, *others = comparison.ranked
    beaten = [each for each in others if is_better(comparison, best.label, each.label)]
    if not beaten:
        return f"No model is shown to be better than another, at a level of {LEVEL:.0%}."
    names = ", ".join(f"{each.label} ({each.evaluation.top1:.2%})" for each in beaten)
    words = f"{best.label} ({best.evaluation.top1:.2%} right) is better than {names}"
    return words + ("." if len(beaten) == len(others) else "; from the others it is not told apart.")


def is_better(comparison: Comparison, first: str, second: str) -> bool:
    """Whether the first model is shown to be better than the second."""
    return any(
        contrast.better == first and {contrast.first, contrast.second} == {first, second}
        for contrast in comparison.contrasts
    )
