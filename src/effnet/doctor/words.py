"""What a check says about labels, in sentences."""

from effnet.doctor.folds import NUM_FOLDS
from effnet.doctor.labels import Suspects

WEAK = 0.5  # share of exchanged labels that are noticed, below which a warning is due


def trust(labels: Suspects | str, num_images: int) -> list[str]:
    """Say how many labels seem wrong, and how far that can be trusted."""
    if isinstance(labels, str):
        return [f"Labels were not judged: {labels}."]
    left_out = num_images - labels.num_judged
    sentences = [
        verdict(labels),
        f"Each image was judged by a classifier that has learned from other images only ({NUM_FOLDS}-fold "
        f"cross-validation on {labels.origin}); it expects {labels.accuracy:.1%} of the labels.",
        f"If the label of an image were exchanged for another one, the image would be listed with a "
        f"probability of {labels.power:.0%}; between classes that look alike it is noticed less often.",
    ]
    if left_out:
        sentences.append(
            f"{left_out:,} images were left out: their classes have fewer than {NUM_FOLDS} different images."
        )
    if labels.power < WEAK:
        sentences.append(advice(labels))
    return sentences


def verdict(labels: Suspects) -> str:
    """Say in a sentence how many labels seem wrong."""
    if labels.noise.low == 0:
        return "There is no sign of wrong labels."
    low, likely = (round(share * labels.num_judged) for share in (labels.noise.low, labels.noise.share))
    how_many = (
        f"At least {low:,} of {labels.num_judged:,} labels seem to be wrong, most likely {likely:,} "
        f"({labels.noise.share:.1%})"
    )
    if not labels.num_likely:
        return f"{how_many}; of no single one can it be said."
    named = "one is" if labels.num_likely == 1 else f"{labels.num_likely:,} are"
    return f"{how_many}; {named} named, more probably wrong than right."


def advice(labels: Suspects) -> str:
    """Say what would see more."""
    hard = "This data is hard for it, and many wrong labels will go unnoticed."
    if labels.is_by_network:
        return f"{hard} A better network sees more."
    return f"{hard} A trained network sees more: effnet train DATA, then effnet check DATA --model MODEL."
