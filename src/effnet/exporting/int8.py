"""The choice of an int8 graph: which calibration, and which blocks stay in float32, by what images show."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from effnet.errors import EffnetError
from effnet.exporting.calibration import Ranges
from effnet.exporting.images import Images, normalised
from effnet.exporting.listener import Listener
from effnet.exporting.onnx import INPUT, OUTPUT, open_session
from effnet.exporting.quantization import blocks_of, quantize
from effnet.imaging.preprocess import Preprocess
from effnet.inference.runtime import num_cores

if TYPE_CHECKING:
    from onnx import ModelProto

BATCH_SIZE = 32
NUM_TO_RANK = 256  # images that tell which block does how much harm

Logits = NDArray[np.float32]


class QuantizationError(EffnetError):
    """No int8 graph answers well enough."""


@dataclass(frozen=True)
class Candidate:
    """An int8 graph, and how it answers to the validation images."""

    model: "ModelProto"
    method: str
    """How the ranges of its tensors were measured."""
    floats: tuple[str, ...]
    """Blocks left in float32."""
    divergence: float
    """Mean Kullback-Leibler divergence of its probabilities from those of float32, in nats. It tells apart
    candidates that are right about as many images."""
    drop: float
    """Points of accuracy lost against float32; less than 0 if it is better."""


@dataclass(frozen=True)
class Bench:
    """Where candidates are made and judged."""

    graph: Path
    """The float32 graph."""
    images: Images
    """Validation images."""
    preprocess: Preprocess
    expected: Logits
    """What float32 answers, `(N, K)`."""

    def candidate(self, ranges: Ranges, floats: Sequence[str] = ()) -> Candidate:
        """Make an int8 graph and judge it."""
        model = quantize(self.graph, ranges, floats)
        logits = answers(model.SerializeToString(), self.images.pixels, self.preprocess)
        lost = top1(self.expected, self.images.labels) - top1(logits, self.images.labels)
        return Candidate(
            model, ranges.method, tuple(floats), divergence(self.expected, logits), round(100 * lost, 4)
        )

    def harm(self, ranges: Ranges, block: str, others: Iterable[str]) -> float:
        """Return how far answers diverge if this block alone is int8."""
        model = quantize(self.graph, ranges, set(others) - {block})
        some = self.images.pixels[:NUM_TO_RANK]
        logits = answers(model.SerializeToString(), some, self.preprocess)
        return divergence(self.expected[: len(some)], logits)


def bench(graph: Path, images: Images, preprocess: Preprocess) -> Bench:
    """Prepare to judge candidates for a float32 graph by validation images."""
    return Bench(graph, images, preprocess, answers(graph.read_bytes(), images.pixels, preprocess))


def choose(judge: Bench, ranges: Sequence[Ranges], max_drop: float, listener: Listener) -> Candidate:
    """Return the int8 graph whose answers are nearest to float32; blocks that hurt stay in float32.

    The calibration is chosen first. If that one loses too much, each block is made int8 alone, and the more
    the answers diverge by it, the earlier it stays in float32: one, two, three, five blocks and so on.

    Args:
        judge: judges by validation images; no test image is read.
        ranges: by each method.
        max_drop: points of accuracy that may be lost.
        listener: follows the candidates.

    Raises:
        QuantizationError: even with most blocks in float32 more is lost.

    """
    best = calibrated_best(judge, ranges, listener)
    if best.drop <= max_drop:
        return best
    chosen = next(made for made in ranges if made.method == best.method)
    listener.message(
        f"int8 loses {best.drop:.2f} points on {len(judge.images.labels):,} validation images, and may lose "
        f"{max_drop:g}: looking for the blocks that hurt"
    )
    ranked = by_harm(judge, chosen, listener)
    last = best
    for count in growing(len(ranked) - 1):
        last = judge.candidate(chosen, ranked[:count])
        listener.message(f"int8 with {count} of {len(ranked)} blocks in float32 loses {last.drop:.2f} points")
        if last.drop <= max_drop:
            return last
    raise QuantizationError(
        f"int8 loses {last.drop:.2f} points of accuracy on {len(judge.images.labels):,} validation images "
        f"even with {len(last.floats)} of {len(ranked)} blocks in float32; allowed: {max_drop:g}; no file "
        f"was written: leave --int8 out, or allow more with --max-drop"
    )


def calibrated_best(judge: Bench, ranges: Sequence[Ranges], listener: Listener) -> Candidate:
    """Return the candidate whose answers are nearest to those of float32."""
    best: Candidate | None = None
    for done, made in enumerate(ranges, start=1):
        candidate = judge.candidate(made)
        if best is None or candidate.divergence < best.divergence:
            best = candidate
        listener.working("comparing calibrations", done, len(ranges))
    assert best is not None  # there are always extremes
    return best


def by_harm(judge: Bench, ranges: Ranges, listener: Listener) -> list[str]:
    """Return all blocks, those that make answers diverge most first."""
    import onnx

    blocks = blocks_of(node.name for node in onnx.load(judge.graph).graph.node)
    harms = {}
    for done, block in enumerate(blocks, start=1):
        harms[block] = judge.harm(ranges, block, blocks)
        listener.working("measuring blocks", done, len(blocks))
    return sorted(blocks, key=lambda block: -harms[block])


def growing(most: int) -> Iterator[int]:
    """Yield 1, 2, 3, 5, 8, … below `most`, then `most`."""
    first, second = 1, 2
    while first < most:
        yield first
        first, second = second, first + second
    if most > 0:
        yield most


def answers(model: bytes, pixels: NDArray[np.uint8], preprocess: Preprocess) -> Logits:
    """Map `pixels (N, C, S, S)` to `logits (N, K)` by a graph that takes normalised images."""
    session = open_session(model, num_cores())
    parts = [pixels[start : start + BATCH_SIZE] for start in range(0, len(pixels), BATCH_SIZE)]
    return np.concatenate([session.run([OUTPUT], {INPUT: normalised(part, preprocess)})[0] for part in parts])


def top1(logits: Logits, labels: NDArray[np.int64]) -> float:
    """Return the share of images whose most probable class is right, from 0 to 1."""
    return float((logits.argmax(1) == labels).mean())


def divergence(expected: Logits, logits: Logits) -> float:
    """Return the mean Kullback-Leibler divergence of two answers `(N, K)`, in nats."""
    first, second = log_probs(expected), log_probs(logits)
    return float((np.exp(first) * (first - second)).sum(1).mean())


def log_probs(logits: Logits) -> NDArray[np.float64]:
    """Return the logarithms of the probabilities of `logits (N, K)`."""
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return result
