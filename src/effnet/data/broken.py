"""Images that cannot be read: each is named, and only so many may be passed over."""

from collections.abc import Sequence

from effnet.errors import DataError


def skipped(problem: str) -> str:
    """Return the line that names an image that cannot be read; `problem` is its name and the reason."""
    return f"skipped: {problem}"


def check_broken(broken: Sequence[str], total: int, max_broken: float) -> None:
    """Allow a share of images to be unreadable.

    Raises:
        DataError: there are more; names the first ones.

    """
    allowed = max(1.0, max_broken * total) if max_broken else 0.0  # one bad image never ends a run
    if broken and (len(broken) > allowed or len(broken) == total):
        listed = "; ".join(broken[:5]) + ("; …" if len(broken) > 5 else "")
        raise DataError(
            f"{len(broken)} of {total} images cannot be read, more than the {max_broken:.1%} that may be "
            f"skipped (data.max_broken): {listed}"
        )
