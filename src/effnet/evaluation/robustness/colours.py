"""The colours of a heat map: white where nothing is lost, orange where everything is."""

WHITE, ORANGE = (255, 255, 255), (232, 119, 34)


def loss_colour(top1: float, clean: float) -> tuple[int, int, int]:
    """Return red, green and blue for an accuracy, by the share that it lacks of the accuracy on clean images.

    The text on it can be black everywhere. The colour follows the square root, so that small losses show.
    """
    lost = min(1.0, max(0.0, 1.0 - top1 / clean)) ** 0.5 if clean else 0.0
    red, green, blue = (round(w + lost * (o - w)) for w, o in zip(WHITE, ORANGE, strict=True))
    return red, green, blue
