"""Memory of a training step: foreseen before the start, fitted by pieces, explained when it runs out."""

import gc
import traceback
from math import ceil
from pathlib import Path
from types import TracebackType

from effnet import config as configuration
from effnet.config import TrainConfig
from effnet.errors import EffnetError, UsageError
from effnet.training import state
from effnet.training.gauge import gauge_of
from effnet.training.loop import Trainer
from effnet.training.probe import ERRORS, RESERVE, Need, Probe, is_shortage
from effnet.training.reporter import Reporter
from effnet.training.setup import check, piece_size

UNCERTAINTY = 0.2  # of a need that is foreseen from small pieces

LESS = "a lower --resolution, a smaller --phi or --checkpoint-stages need less"


def choose(probe: Probe, reporter: Reporter) -> int:
    """Return the number of pieces that fit, and say so.

    Raises:
        EffnetError: not even single images do.

    """
    given = probe.trainer.config.optim.accumulate
    pieces = given if probe.takes_little else probe.fitting(given)
    if pieces is None:
        raise EffnetError(
            f"auto-batch: a step on a single image needs about {gigabytes(probe.need.of(1))} of memory, and "
            f"{gigabytes(probe.free)} are free; {LESS}"
        )
    seen = "" if pieces == 1 else ", and so seen by batch normalisation"
    reporter.message(
        f"auto-batch: batches of {probe.batch_size} images are computed in "
        f"{in_words(probe.batch_size, pieces)}{seen}; {gigabytes(probe.free)} of memory are free"
    )
    return pieces


def forecast(probe: Probe, reporter: Reporter) -> None:
    """Say what a step will take, if it is not little.

    Raises:
        EffnetError: clearly more than is free.

    """
    if probe.takes_little:
        return
    pieces = probe.trainer.config.optim.accumulate
    needed = probe.need.of(ceil(probe.batch_size / pieces))
    share = needed / probe.free
    fitting = probe.need.pieces(probe.batch_size, probe.free)
    batches = f"batches of {probe.batch_size} images in {in_words(probe.batch_size, pieces)}"
    text = f"a step on {batches} {figures(probe, pieces)}"
    if share > 1.0 + UNCERTAINTY:
        raise EffnetError(f"{text}; {advice(probe, fitting)}")
    if share > 1.0 - RESERVE:
        reporter.message(f"warning: {text}; if it fails: {advice(probe, fitting)}")
    else:
        reporter.message(text)


def figures(probe: Probe, pieces: int) -> str:
    """Say what a step needs and what there is."""
    needed = probe.need.of(ceil(probe.batch_size / pieces))
    return f"needs about {gigabytes(needed)} of memory; {gigabytes(probe.free)} are free"


def advice(probe: Probe, pieces: int | None) -> str:
    """Say what to change, where so many pieces fit."""
    if pieces is None:
        return f"not even single images fit; {LESS}"
    piece = ceil(probe.batch_size / pieces)
    if probe.trainer.config.data.balance == "weights":  # pieces of a batch differ in weight
        return f"{piece} images at once fit: take --batch-size {piece}"
    return f"pieces of {piece} fit: add --optim.accumulate {pieces}, or take --auto-batch"


def in_words(batch_size: int, pieces: int) -> str:
    """Say in how many pieces of which size a batch is computed."""
    return "1 piece" if pieces == 1 else f"{pieces} pieces of {ceil(batch_size / pieces)}"


def gigabytes(number: float) -> str:
    """Return bytes for people."""
    return f"{number / 1e9:.2g} GB" if number < 1e9 else f"{number / 1e9:.1f} GB"


class MemoryGuard:
    """Around a training: foresees what a step takes, and turns memory that runs out into a useful error."""

    def __init__(self, trainer: Trainer, folder: Path) -> None:
        self.trainer = trainer
        self.folder = folder
        self.device = next(trainer.network.parameters()).device
        self.gauge = gauge_of(self.device)
        self.need: Need | None = None

    def __enter__(self) -> "MemoryGuard":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and is_shortage(error):
            traceback.clear_frames(trace)  # they hold the step that did not fit
            raise self.explained() from error

    def prepare(self, reporter: Reporter, *, may_choose: bool) -> TrainConfig:
        """Say what memory a step will take, and return the configuration to train with.

        With `auto_batch`, where `may_choose`, it has as many more pieces as make a step fit; state and model
        file then know the number, and a resume takes the same.

        Raises:
            EffnetError: a step needs clearly more than is free; says what would fit.
            UsageError: `auto_batch` where memory cannot be measured, or together with what forbids pieces.

        """
        chooses, pieces = may_choose and self.trainer.config.auto_batch, self.pieces
        if self.gauge is None and chooses:
            raise UsageError(
                f"auto_batch cannot measure the memory of {self.device.type} on this system; "
                f"try optim.accumulate = 2, 4, … instead"
            )
        if self.gauge is not None:
            probe = Probe(self.trainer, self.gauge)
            if chooses:
                pieces = choose(probe, reporter)
            else:
                forecast(probe, reporter)
            self.need = None if probe.takes_little else probe.need
        return self.compute_in(self.trainer.group.most(pieces))

    def compute_in(self, pieces: int) -> TrainConfig:
        """Let the trainer compute a batch in so many pieces, and validate as many images at once."""
        trainer = self.trainer
        config = configuration.override(trainer.config, {"optim": {"accumulate": pieces}})
        check(config)
        trainer.config = config
        trainer.val.batch_size = ceil(piece_size(config) / trainer.group.share.size)
        return config

    @property
    def pieces(self) -> int:
        """The pieces that the trainer computes a batch in."""
        return self.trainer.config.optim.accumulate

    def explained(self) -> EffnetError:
        """Say what did not fit, what would, and what remains."""
        self.trainer.optimizer.zero_grad(set_to_none=True)
        gc.collect()
        num_images = self.trainer.train.batch_size
        batches = f"batches of {num_images} images in {in_words(num_images, self.pieces)}"
        command = state.resume_command(self.folder)
        stays = f"the last saved state stays, and {command} goes on with it as it was"
        text = f"out of memory at step {self.trainer.step} with {batches}{self.remedy()}"
        return EffnetError(f"{text}; {stays}" if state.exists(self.folder) else text)

    def remedy(self) -> str:
        """Try smaller pieces, now that the memory is free again, and say which fit."""
        if self.gauge is None:
            return f"; add --optim.accumulate {2 * self.pieces} or more"
        try:
            probe = Probe(self.trainer, self.gauge, self.need)
            fitting, text = probe.fitting(self.pieces), figures(probe, self.pieces)
        except ERRORS as error:
            if not is_shortage(error):
                raise
            return f"; not even two images fit; {LESS}"
        if fitting == self.pieces:
            return f", which fit now: something else took the memory; a step {text}"
        return f": a step {text}; {advice(probe, fitting)}"
