"""What each process of a group could not read in a stream, made known to all of them."""

from collections.abc import Callable

from effnet.data.loaders import EvalLoader, TrainLoader
from effnet.data.stream import Stream
from effnet.errors import DataError
from effnet.evaluation.metrics import Pairs
from effnet.training.group import Group


def joint(group: Group, *loaders: TrainLoader | EvalLoader) -> Callable[[Pairs], Pairs]:
    """Return what gathers the answers of all processes, and before that what they could not read so far.

    It raises DataError if that are more images than allowed, in all processes alike.
    """

    def gather(pairs: Pairs) -> Pairs:
        for loader in loaders:
            if isinstance(loader.pixels, Stream):  # into memory each process has read all images
                learn(group, loader.pixels)
        return group.gather(pairs)

    return gather


def learn(group: Group, stream: Stream) -> None:
    """Let a stream know what the others could not read.

    Raises:
        DataError: more images than allowed are unreadable; the first process speaks for all.

    """
    try:
        stream.learn(group.everyone)
    except DataError as error:
        error.is_common = True
        raise
