"""From uploads to answers: a bounded number in hand, decoded in threads, computed in batches."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from time import perf_counter
from typing import Any, TypeVar, TypeVarTuple

from effnet.inference.runtime import num_cores
from effnet.inference.server.batcher import Batcher, Work
from effnet.inference.server.bodies import Upload
from effnet.inference.server.live import LiveModel, Served
from effnet.inference.server.logs import bug
from effnet.inference.server.metrics import Metrics
from effnet.inference.server.refusals import RefusedError, busy
from effnet.inference.server.seeing import Said, Seen, Wanted, answer, look, see
from effnet.inference.server.settings import ServeSettings

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Answer = dict[str, Any]
SMOOTHING = 0.9  # of the time that an image takes, from batch to batch


class Service:
    """Answers images with the model that is live when they come."""

    def __init__(self, live: LiveModel, settings: ServeSettings, metrics: Metrics) -> None:
        self.live = live
        self._settings = settings
        self._metrics = metrics
        self._decoders = ThreadPoolExecutor(settings.threads or num_cores(), thread_name_prefix="decode")
        work = Work[Seen, Said](
            compute=look,
            kind=lambda seen: seen.model.version,
            most=lambda seen: seen.model.batch,
            coming=lambda: self._num_decoding,
            done=self._batch_done,
        )
        self._batcher = Batcher(work, max_wait=settings.max_wait_ms / 1000)
        self.num_in_hand = 0
        self._num_decoding = 0
        self._seconds_per_image = 0.05

    async def run(self) -> None:
        """Compute, until cancelled."""
        try:
            await self._batcher.run()
        finally:
            self._decoders.shutdown(wait=False, cancel_futures=True)

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
            ones = [self._one(upload, model, wanted) for upload in uploads]
            answers = [await ones[0]] if len(ones) == 1 else await asyncio.gather(*ones)
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

    async def _one(self, upload: Upload, model: Served, wanted: Wanted) -> Answer | RefusedError:
        try:
            seen = await self._decoded(upload, model, wanted)
            started = perf_counter()
            said = await self._batcher.submit(seen)
            self._metrics.stages.labels("compute").observe(perf_counter() - started)
            if wanted.maps == "none":
                return answer(seen, said)
            return await self._in_thread(answer, seen, said)
        except RefusedError as error:
            return error
        except MemoryError:
            return busy(f"{upload.name}: there is not enough memory for it now", 5.0)
        except Exception as error:
            bug("image failed", error)
            return RefusedError(
                500, f"{upload.name}: this image could not be computed; the server's log says why"
            )

    async def _decoded(self, upload: Upload, model: Served, wanted: Wanted) -> Seen:
        started = perf_counter()
        self._num_decoding += 1
        try:
            return await self._in_thread(see, upload, model, self._settings.max_pixels, wanted)
        finally:
            self._num_decoding -= 1
            self._metrics.stages.labels("decode").observe(perf_counter() - started)

    async def _in_thread(self, function: Callable[[*Ts], T], *arguments: *Ts) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._decoders, function, *arguments)

    def _batch_done(self, num_images: int, seconds: float) -> None:
        self._metrics.batches.observe(num_images)
        each = seconds / num_images
        self._seconds_per_image = SMOOTHING * self._seconds_per_image + (1 - SMOOTHING) * each
