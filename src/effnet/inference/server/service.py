"""From uploads to answers: a bounded number in hand, decoded in threads, computed in batches."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from effnet.inference.runtime import num_cores
from effnet.inference.server.batcher import Batcher, Work
from effnet.inference.server.bodies import Upload
from effnet.inference.server.live import LiveModel, Served
from effnet.inference.server.logs import bug
from effnet.inference.server.metrics import Metrics
from effnet.inference.server.refusals import RefusedError, busy
from effnet.inference.server.seeing import Said, Seen, Wanted, answer, look, see
from effnet.inference.server.settings import ServeSettings

Answer = dict[str, Any]
SMOOTHING = 0.9  # of the time that an image takes, from batch to batch


@dataclass(frozen=True)
class Job:
    """An image to answer, and the model that was live when it came."""

    upload: Upload
    model: Served
    wanted: Wanted


class Service:
    """Answers images with the model that is live when they come."""

    def __init__(self, live: LiveModel, settings: ServeSettings, metrics: Metrics) -> None:
        self.live = live
        self._settings = settings
        self._metrics = metrics
        self._decode_seconds = metrics.stages.labels("decode")
        self._compute_seconds = metrics.stages.labels("compute")
        self.batcher = Batcher(
            Work[Job, Seen, tuple[Seen, Said]](
                prepare=self._see,
                compute=lambda images: list(zip(images, look(images), strict=True)),
                kind=lambda seen: seen.model.version,
                most=lambda seen: seen.model.batch,
                done=self._batch_done,
            ),
            num_threads=settings.threads or num_cores(),
            max_wait=settings.max_wait_ms / 1000,
        )
        self.num_in_hand = 0
        self._seconds_per_image = 0.05

    def check_room(self, num_images: int = 1) -> None:
        """Refuse what would be too much work in hand.

        Raises:
            RefusedError: 503, with the time after which it is worth to come again.

        """
        if self.num_in_hand + num_images > self._settings.queue:
            wait = self.num_in_hand * self._seconds_per_image
            raise busy(
                f"the server has {self.num_in_hand} images in hand and takes {self._settings.queue}", wait
            )

    async def answers(
        self, uploads: Sequence[Upload], wanted: Wanted
    ) -> tuple[Served, list[Answer | RefusedError]]:
        """Answer each image; one that cannot be read does not hurt the others.

        Raises:
            RefusedError: 503, too much work in hand.

        """
        model = self.live.current
        with self.in_hand(len(uploads)):
            waiting = [self.batcher.submit(Job(upload, model, wanted)) for upload in uploads]
            try:
                pairs = zip(waiting, uploads, strict=True)
                answers = [await self._answer(future, upload.name) for future, upload in pairs]
            finally:
                for future in waiting:
                    future.cancel()
        for given in answers:
            self._metrics.images.labels(given.status if isinstance(given, RefusedError) else 200).inc()
        return model, answers

    @contextmanager
    def in_hand(self, num_images: int) -> Iterator[None]:
        """Take images in hand, until they are answered.

        Raises:
            RefusedError: 503, too many.

        """
        self.check_room(num_images)
        self.num_in_hand += num_images
        try:
            yield
        finally:
            self.num_in_hand -= num_images

    async def _answer(self, future: asyncio.Future[tuple[Seen, Said]], name: str) -> Answer | RefusedError:
        try:
            seen, said = await future
            if seen.wanted.maps == "none":
                return answer(seen, said)
            return await asyncio.to_thread(answer, seen, said)
        except RefusedError as error:
            return error
        except MemoryError:
            return busy(f"{name}: there is not enough memory for it now", 5.0)
        except Exception as error:
            bug("image failed", error)
            return RefusedError(500, f"{name}: this image could not be computed; the server's log says why")

    def _see(self, job: Job) -> Seen:
        started = perf_counter()
        try:
            return see(job.upload, job.model, self._settings.max_pixels, job.wanted)
        finally:
            self._decode_seconds.observe(perf_counter() - started)

    def _batch_done(self, num_images: int, seconds: float) -> None:
        self._metrics.batches.observe(num_images)
        self._compute_seconds.observe(seconds)
        each = seconds / num_images
        self._seconds_per_image = SMOOTHING * self._seconds_per_image + (1 - SMOOTHING) * each
