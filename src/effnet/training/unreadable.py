"""What each process of a group could not read in a stream, made known to all of them."""

from effnet.data.loaders import EvalLoader, TrainLoader
from effnet.data.stream import Stream
from effnet.errors import DataError
from effnet.evaluation.metrics import Pairs
from effnet.training.group import Group


class Gathering:
    """Gathers the answers of all processes to the validation images, and what they could not read so far."""

    def __init__(self, group: Group, *loaders: TrainLoader | EvalLoader) -> None:
        self.group = group
        self.loaders = loaders

    def __call__(self, pairs: Pairs) -> Pairs:
        """Return the answers of all processes, in their order.

        Raises:
            DataError: more images than allowed are unreadable; in all processes alike.

        """
        for loader in self.loaders:
            if isinstance(loader.pixels, Stream):  # into memory each process has read all images
                self._learn(loader.pixels)
        return self.group.gather(pairs)

    def _learn(self, stream: Stream) -> None:
        try:
            stream.learn(self.group.everyone)
        except DataError as error:
            error.is_common = True
            raise
