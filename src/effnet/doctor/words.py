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
    if labels.has_seen:
        sentences.append(
            "The network has learned from these very labels: wrong ones that it knows by heart go unnoticed."
        )
    if labels.power < WEAK:
        sentences.append(advice(labels))
    return sentences


def verdict(labels: Suspects) -> str:
    """Say in a sentence how many labels seem wrong."""
    if not labels.num_likely:
        return "No label stands out as wrong."
    share, count = labels.noise.share, labels.num_judged
    named = "one is" if labels.num_likely == 1 else f"{labels.num_likely:,} are"
    return (
        f"About {share * count:,.0f} of {count:,} labels seem to be wrong ({share:.1%}); {named} named, more "
        f"probably wrong than right."
    )


def advice(labels: Suspects) -> str:
    """Say what would see more."""
    hard = "This data is hard for it, and many wrong labels will go unnoticed."
    if labels.is_by_network:
        return f"{hard} A better network sees more."
    return f"{hard} A trained network sees more: effnet train DATA, then effnet check DATA --model MODEL."
