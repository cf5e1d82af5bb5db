"""Pictures that look alike: candidates by perceptual hash, confirmed by their pixels.

A hash alone knows no scale: two handwritten eights differ in as few bits as a photograph and its copy. So the
pixels decide, and how near is near is measured on the data set itself.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from effnet.doctor.reporter import Progress
from effnet.doctor.survey import Thumbs

Rows = NDArray[np.int64]
Pairs = tuple[Rows, Rows]

NUM_BITS = 64
MAX_BITS = 8  # by which the hashes of copies may differ; a new JPEG of a digit of 8×8 pixels moves that many
NEAR = 0.045  # of the distance below which the nearest 5 % of all pairs lie
NEAREST = 0.05
SIDE = 16  # pixels at which two pictures are compared
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
FLAT = 16.0  # norm of a picture without contrast: a deviation of one grey level in every pixel
NUM_PROBED = 1000
BLOCK = 256  # rows that are compared with others at once
PAIRS_AT_ONCE = 1 << 15


def find_alike(hashes: NDArray[np.uint64], thumbs: Thumbs, on_progress: Progress) -> Rows:
    """Group pictures that are copies of one another, or copies of copies.

    Found are other encodings, sizes, brightness, contrast and colours, noise, and cuts by 1 or 2 % of a side.
    Mirrored, turned and more cropped pictures are not.

    Args:
        hashes: perceptual hashes, `(N,)`.
        thumbs: small copies, `(N, 3, 32, 32)`.
        on_progress: told how many of the comparisons are done.

    Returns:
        The number of its group for each picture, `(N,)`.

    """
    groups: Rows = np.arange(len(hashes))
    limit = NEAR * near_distance(thumbs)
    for first, second in candidates(hashes, on_progress):
        different = groups[first] != groups[second]
        groups = joined(groups, confirmed(thumbs, (first[different], second[different]), limit))
    return groups


def joined(groups: Rows, pairs: Pairs) -> Rows:
    """Return the groups after those of each pair have become one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(pairs[0]):
        return groups
    ends = groups[pairs[0]], groups[pairs[1]]
    edges = coo_array((np.ones(len(ends[0]), bool), ends), shape=(len(groups), len(groups)))
    found: Rows = connected_components(edges, directed=False)[1][groups]
    return found


def outlines(thumbs: Thumbs) -> NDArray[np.float32]:
    """Return pictures as unit vectors, `(N, 256)`, that brightness and contrast do not change.

    Those without contrast are near zero: they are like nothing.
    """
    half = thumbs.shape[-1] // SIDE
    grey = np.einsum("c,nchw->nhw", LUMA, thumbs.astype(np.float32))
    small = grey.reshape(len(grey), SIDE, half, SIDE, half).mean((2, 4)).reshape(len(grey), -1)
    small -= small.mean(1, keepdims=True)
    unit: NDArray[np.float32] = small / np.maximum(np.linalg.norm(small, axis=1, keepdims=True), FLAT)
    return unit


def near_distance(thumbs: Thumbs) -> float:
    """Return the distance below which the nearest 5 % of pairs lie; in small data sets, the nearest few.

    The distance is 1 minus the correlation. It is about 0.6 for photographs and 0.2 for digits, which are all
    alike. Copies, being rarer than that, have no say.
    """
    picked = np.random.default_rng(0).permutation(len(thumbs))[:NUM_PROBED]
    if len(picked) < 2:
        return 0.0
    vectors = outlines(thumbs[np.sort(picked)])
    distances = 1 - (vectors @ vectors.T)[np.triu_indices(len(vectors), 1)]
    return float(np.quantile(distances, min(0.5, max(NEAREST, 2 / len(picked)))))


def confirmed(thumbs: Thumbs, pairs: Pairs, limit: float) -> Pairs:
    """Return the pairs that are at most so far apart."""
    near = np.zeros(len(pairs[0]), bool)
    for start in range(0, len(near), PAIRS_AT_ONCE):
        part = slice(start, start + PAIRS_AT_ONCE)
        rows, places = np.unique(np.stack([pairs[0][part], pairs[1][part]]), return_inverse=True)
        vectors = outlines(thumbs[rows])
        first, second = places.reshape(2, -1)
        near[part] = 1 - np.einsum("nd,nd->n", vectors[first], vectors[second]) <= limit
    return pairs[0][near], pairs[1][near]


def candidates(hashes: NDArray[np.uint64], on_progress: Progress) -> Iterator[Pairs]:
    """Yield all pairs whose hashes differ in at most 8 bits, block by block, some of them several times.

    Of nine bands of a hash, at least one is the same then (the pigeonhole principle), so only pictures that
    agree in a band are compared: a 14th of all pairs if hashes were random. Memory is that of a block.
    """
    edges = np.linspace(0, NUM_BITS, MAX_BITS + 2).round().astype(int).tolist()
    for band, (low, high) in enumerate(pairwise(edges)):
        keys = (hashes >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)
        order = np.argsort(keys, kind="stable")
        buckets = np.split(order, np.flatnonzero(np.diff(keys[order])) + 1)
        for count, bucket in enumerate(buckets):
            on_progress("looking for copies", band * len(buckets) + count, (len(edges) - 1) * len(buckets))
            yield from within(hashes, bucket)
    on_progress("looking for copies", 1, 1)


def within(hashes: NDArray[np.uint64], bucket: Rows) -> Iterator[Pairs]:
    """Yield the pairs of a bucket whose hashes differ in at most 8 bits."""
    for start in range(0, len(bucket) - 1, BLOCK):
        rows, others = bucket[start : start + BLOCK], bucket[start:]
        bits = np.bitwise_count(hashes[rows][:, None] ^ hashes[others][None])
        first, second = np.nonzero(np.triu(bits <= MAX_BITS, 1))
        if len(first):
            yield rows[first], others[second]
