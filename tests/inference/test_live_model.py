"""A changed model file is taken up; one that is no good is refused, and the old model goes on."""

import asyncio
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import pytest
from served import client, make_site, photo, post, running, talk
from starlette.testclient import TestClient

from effnet.errors import ModelFileError
from effnet.inference.server.live import LiveModel
from effnet.modelfile import header_to_json
from onnx_models import HEADER, write_onnx_model

TURNED = replace(HEADER, class_names=tuple(reversed(HEADER.class_names)))


def other_model(path: Path) -> Path:
    """Write a model whose classes have each other's names."""
    return write_onnx_model(path, effnet=header_to_json(TURNED))


@pytest.fixture
def live(tmp_path: Path) -> LiveModel:
    return LiveModel(write_onnx_model(tmp_path / "model.onnx"), threads=1, max_batch=4)


def names(live: LiveModel) -> tuple[str, ...]:
    return live.current.classifier.header.class_names


def test_another_file_is_taken_up(live: LiveModel) -> None:
    before = live.current
    other_model(live.path)
    assert live.take_up() == "taken"
    assert names(live) == TURNED.class_names
    assert before.classifier.header == HEADER  # who holds it goes on with it


def test_the_same_content_is_no_change(live: LiveModel) -> None:
    before = live.current
    os.utime(live.path)
    assert live.take_up() == "same"
    assert live.current is before


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda content: content[:-1000], "cut off"),
        (lambda content: b"", "empty file"),
        (lambda content: b"hello" * 100, "not an ONNX file"),
    ],
)
def test_a_damaged_file_is_refused_and_the_old_model_goes_on(
    live: LiveModel, damage: Callable[[bytes], bytes], reason: str
) -> None:
    before = live.current
    live.path.write_bytes(damage(live.path.read_bytes()))
    assert live.take_up() == "refused"
    assert live.current is before
    assert str(live.problem).startswith("the changed model file was refused: model.onnx: ")
    assert reason in str(live.problem)
    assert str(live.path.parent) not in str(live.problem)


def test_a_file_that_is_gone_is_named_and_may_come_back(live: LiveModel) -> None:
    aside = live.path.with_suffix(".aside")
    live.path.rename(aside)
    assert (live.take_up(), live.problem) == ("gone", "the model file is gone")
    aside.rename(live.path)
    assert (live.take_up(), live.problem) == ("same", None)


def test_a_network_that_computes_no_numbers_is_refused_at_the_start(tmp_path: Path) -> None:
    import onnx

    path = write_onnx_model(tmp_path / "model.onnx")
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            values = onnx.numpy_helper.to_array(tensor) * float("nan")
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    onnx.save(model, path)
    with pytest.raises(ModelFileError, match=r"model\.onnx: the network gives no 6 finite numbers an image"):
        LiveModel(path, threads=1)


def test_the_watch_takes_a_file_up_only_when_it_stays_as_it_is(live: LiveModel) -> None:
    outcomes: list[str] = []

    async def write_slowly() -> None:
        watching = asyncio.create_task(live.watch(0.05, outcomes.append))
        content = live.path.read_bytes()
        for share in range(1, 10):
            live.path.write_bytes(content[: len(content) * share // 10])
            await asyncio.sleep(0.02)
        other_model(live.path)
        while not outcomes:
            await asyncio.sleep(0.02)
        watching.cancel()

    asyncio.run(asyncio.wait_for(write_slowly(), 30))
    assert outcomes == ["taken"]


def wait_for(condition: Callable[[], bool]) -> None:
    pause = Event()
    for _ in range(1000):
        if condition():
            return
        pause.wait(0.02)
    raise AssertionError("it did not come about in 20 s")


def test_no_request_is_dropped_while_models_change(tmp_path: Path) -> None:
    site = make_site(tmp_path, watch_seconds=0.05)
    other_model(tmp_path / "other")
    shutil.copy(site.live.path, tmp_path / "first")
    first, stop, answers = site.live.current.version, Event(), list[bytes]()
    with running(site) as port:

        def ask() -> None:
            while not stop.is_set():
                answers.append(talk(port, post(photo())))

        asking = [Thread(target=ask) for _ in range(3)]
        for thread in asking:
            thread.start()
        for name in ("other", "first"):
            before = site.live.current
            os.replace(shutil.copy(tmp_path / name, tmp_path / "new"), site.live.path)
            wait_for(lambda before=before: site.live.current is not before)  # type: ignore[misc]
            count = len(answers)
            wait_for(lambda count=count: len(answers) > count + 5)  # type: ignore[misc]
        stop.set()
        for thread in asking:
            thread.join()
    assert {answer.split(b"\r\n")[0] for answer in answers} == {b"HTTP/1.1 200 OK"}
    versions = {answer.partition(b'"version":"')[2][:64].decode() for answer in answers}
    assert len(versions) == 2
    assert first in versions


def test_readiness_says_what_is_wrong_with_the_file(tmp_path: Path) -> None:
    site = make_site(tmp_path, watch_seconds=0.05)
    with client(site) as api:
        site.live.path.write_bytes(b"hello")
        wait_for(lambda: site.live.problem is not None)
        answer = api.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (200, "ready")
        assert answer.json()["problem"].startswith(
            "the changed model file was refused: model.onnx: not an ONNX"
        )
        assert count_of(api, "refused") == 1
        assert api.post("/v1/predict", content=photo()).status_code == 200


def count_of(api: TestClient, outcome: str) -> float:
    start = f'effnet_model_changes_total{{outcome="{outcome}"}} '
    return sum(
        float(line.removeprefix(start))
        for line in api.get("/metrics").text.splitlines()
        if line.startswith(start)
    )
