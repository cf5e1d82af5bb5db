"""Predictions of a cluster: the file of one machine, byte for byte, whatever happens to the workers."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from cluster_work import Listener, killed_when

from effnet.cli.main import main
from effnet.cluster.machines import Cluster
from effnet.errors import DataError
from effnet.inference import placed
from effnet.inference.placed import Chunk, OnCluster, chunks
from effnet.inference.rows import columns, error_row
from effnet.inference.tofile import predict_to
from effnet.loading import load
from image_files import IMAGES
from onnx_models import write_onnx_model, write_torch_model

NUM_IMAGES = 1500
OPEN = partial(load, num_threads=1)


@pytest.fixture(scope="module")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_onnx_model(tmp_path_factory.mktemp("models") / "model.onnx")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 1,500 images, one of which is none."""
    root, contents = tmp_path_factory.mktemp("many"), list(IMAGES.values())
    for number in range(NUM_IMAGES):
        path = root / f"{number % 3}" / f"{number:04d}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"no image" if number == 700 else contents[number % 10])
    return root


@pytest.fixture(scope="module")
def alone(model_path: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    out = tmp_path_factory.mktemp("alone") / "rows.csv"
    predict_to(out, OPEN(model_path), [folder])
    return out.read_bytes()


def test_the_file_is_that_of_one_machine_though_a_worker_is_killed(
    cluster: Cluster, model_path: Path, folder: Path, alone: bytes, tmp_path: Path
) -> None:
    out, listener = tmp_path / "rows.csv", Listener()
    told: list[int] = []
    with killed_when(lambda: len(told) > 0) as killed:
        written = predict_to(
            out,
            OPEN(model_path),
            [folder],
            compute=OnCluster(cluster, OPEN, listener),
            on_progress=lambda done, total: told.append(done),
        )
    assert len(killed) == 1
    assert len(listener.lines) == 1
    assert (written.num_rows, written.num_errors) == (NUM_IMAGES, 1)
    assert out.read_bytes() == alone


def test_a_stopped_run_goes_on_after_its_rows(
    cluster: Cluster, model_path: Path, folder: Path, alone: bytes, tmp_path: Path
) -> None:
    out = tmp_path / "rows.csv"

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    compute = OnCluster(cluster, OPEN, Listener())
    with pytest.raises(KeyboardInterrupt):
        predict_to(out, OPEN(model_path), [folder], compute=compute, on_progress=stop)
    written = predict_to(out, OPEN(model_path), [folder], compute=compute)
    assert 0 < written.num_kept < NUM_IMAGES
    assert out.read_bytes() == alone


def test_the_command_takes_a_cluster_and_urls(
    cluster: Cluster, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(write_torch_model(tmp_path / "model.safetensors"))
    asked = ["predict", model, f"file://{folder}/0", "--device", "cpu"]
    for name, more in (("alone", []), ("together", ["--cluster", "local"])):
        assert main([*asked, "--out", str(tmp_path / f"{name}.csv"), *more]) == 0
    assert (tmp_path / "alone.csv").read_bytes() == (tmp_path / "together.csv").read_bytes()
    assert capsys.readouterr().out.count("500 images") == 2


def test_images_that_a_machine_does_not_see_are_an_error(
    cluster: Cluster, model_path: Path, folder: Path, tmp_path: Path
) -> None:
    rows = placed.RemoteRows(np.fromfile(model_path, np.uint8), "m.onnx", OPEN, columns(1), 1)
    image = folder / "0" / "0000.png"
    with pytest.raises(DataError, match=r"does not see .*0000\.png as it is here; put the images where all"):
        rows(Chunk(0, (image,), (image, 1)))
    missing = error_row(str(image), "no such file", columns(1))
    with pytest.raises(DataError, match="a machine of the cluster does not see"):
        placed._checked([missing])


def test_chunks_are_whole_batches(folder: Path) -> None:
    places = sorted(folder.rglob("*.png"))
    found = list(chunks(places, 60))
    assert [len(chunk.places) for chunk in found] == [300] * 5
    assert [place for chunk in found for place in chunk.places] == places
    assert found[0].seen == (places[0], places[0].stat().st_size)


@pytest.mark.parametrize("more", [["--cluster", "local"], ["s3://bucket/images"]])
def test_what_is_for_a_file_of_predictions_needs_one(
    more: list[str], model_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(model_path), str(folder), *more]) == 2
    assert "is for a file of predictions; add --out FILE" in capsys.readouterr().err
