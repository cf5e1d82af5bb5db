"""The API, asked in this process: answers, and every refusal in words."""

from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image
from served import client, encoded, make_site, photo
from starlette.testclient import TestClient

from broken import png_header
from effnet.inference.server.seeing import FORMATS
from effnet.inference.server.site import Site
from onnx_models import HEADER

NAMES = list(HEADER.class_names)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(
        tmp_path_factory.mktemp("api"), max_images=3, max_body_mb=0.2, max_megapixels=0.05, queue=8
    )


@pytest.fixture(scope="module")
def api(site: Site) -> Iterator[TestClient]:
    with client(site) as asking:
        yield asking


def predict(api: TestClient, content: bytes, query: str = "") -> tuple[int, Any]:
    answer = api.post(f"/v1/predict{query}", content=content)
    return answer.status_code, answer.json()


def form(*contents: bytes) -> list[tuple[str, tuple[str, bytes]]]:
    return [("image", (f"photo {number}.png", content)) for number, content in enumerate(contents)]


def test_one_image_as_the_body(api: TestClient) -> None:
    status, answer = predict(api, photo(), "?top=6")
    assert status == 200
    assert answer["model"] == {"network": HEADER.spec.name, "version": api.get("/v1/model").json()["version"]}
    (prediction,) = answer["predictions"]
    assert prediction["image"] == "image"
    assert sorted(entry["name"] for entry in prediction["classes"]) == sorted(NAMES)
    assert sum(entry["probability"] for entry in prediction["classes"]) == pytest.approx(1.0, abs=1e-5)


def test_the_most_probable_classes_come_first_five_by_default(api: TestClient) -> None:
    _, answer = predict(api, photo())
    probabilities = [entry["probability"] for entry in answer["predictions"][0]["classes"]]
    assert len(probabilities) == 5
    assert probabilities == sorted(probabilities, reverse=True)


def test_several_images_of_a_form_keep_their_names_and_order(api: TestClient) -> None:
    answer = api.post("/v1/predict", files=form(photo(), photo(seed=1)), data={"note": "no file"})
    assert [entry["image"] for entry in answer.json()["predictions"]] == ["photo 0.png", "photo 1.png"]


def test_an_image_of_a_form_is_answered_as_the_same_alone(api: TestClient) -> None:
    together = api.post("/v1/predict", files=form(photo(), photo(seed=1), photo(seed=2))).json()[
        "predictions"
    ]
    alone = [predict(api, photo(seed=seed))[1]["predictions"][0] for seed in range(3)]
    for one, other in zip(together, alone, strict=True):
        assert [entry["name"] for entry in one["classes"]] == [entry["name"] for entry in other["classes"]]
        assert one["classes"][0]["probability"] == pytest.approx(other["classes"][0]["probability"], abs=1e-5)


def test_an_image_that_cannot_be_read_does_not_hurt_the_others(api: TestClient) -> None:
    answer = api.post("/v1/predict", files=form(photo(), b"text", photo(seed=1)))
    first, bad, last = answer.json()["predictions"]
    assert answer.status_code == 200
    assert (len(first["classes"]), len(last["classes"])) == (5, 5)
    assert bad["problem"] == {
        "title": "Unsupported Media Type",
        "status": 415,
        "detail": f"photo 1.png: not an image in a format that is read here: {', '.join(FORMATS)}",
    }


def test_maps_as_numbers_add_up_to_the_evidence_for_a_class(api: TestClient) -> None:
    _, answer = predict(api, photo(), "?top=2&maps=grid")
    prediction = answer["predictions"][0]
    side = HEADER.spec.feature_size
    assert [(len(entry["map"]), len(entry["map"][0])) for entry in prediction["classes"]] == [
        (side, side)
    ] * 2
    means = [sum(map(sum, entry["map"])) / side**2 for entry in prediction["classes"]]
    assert means[0] != means[1]


def test_maps_come_with_the_part_of_the_picture_that_was_seen(api: TestClient) -> None:
    _, answer = predict(api, photo(size=(80, 40)), "?maps=png")
    prediction = answer["predictions"][0]
    assert prediction["classes"][0]["map"].startswith("data:image/png;base64,iVBOR")
    left, top, right, bottom = prediction["region"]
    assert (left + right, top + bottom) == (pytest.approx(1.0, abs=0.03), pytest.approx(1.0, abs=0.03))
    assert right - left == pytest.approx((bottom - top) / 2, abs=0.02)


def test_the_model_says_what_its_file_says(api: TestClient) -> None:
    model = api.get("/v1/model").json()
    assert model["class_names"] == NAMES
    assert model["preprocess"]["resolution"] == HEADER.preprocess.resolution
    assert model["temperature"] == HEADER.temperature
    assert model["metrics"] == {"test": {"top1": 0.5}}
    assert model["export"]["precision"] == "float32"
    assert model["limits"]["body_bytes"] == 200_000


def test_what_is_no_image_is_415(api: TestClient) -> None:
    assert predict(api, b"hello") == (
        415,
        {
            "title": "Unsupported Media Type",
            "status": 415,
            "detail": f"image: not an image in a format that is read here: {', '.join(FORMATS)}",
        },
    )


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_probe_may_ask_for_the_head_alone(api: TestClient, path: str) -> None:
    assert api.head(path).status_code == 200


def test_formats_that_start_programs_are_no_images(api: TestClient) -> None:
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    assert predict(api, eps)[0] == 415


@pytest.mark.parametrize("header", [png_header(60_000, 60_000), png_header(400, 400)])
def test_a_decompression_bomb_is_422(api: TestClient, header: bytes) -> None:
    status, answer = predict(api, header)
    assert status == 422
    assert "at most 50,000 pixels are read" in answer["detail"]


def test_a_damaged_image_is_422(api: TestClient) -> None:
    status, answer = predict(api, photo("JPEG")[:-200])
    assert status == 422
    assert answer["detail"].startswith("image: damaged image: image file is truncated")


def test_no_image_is_400_and_says_how_to_send_one(api: TestClient) -> None:
    for answer in (api.post("/v1/predict"), api.post("/v1/predict", files={"a": (None, "text")})):
        assert answer.status_code == 400
        assert "curl --data-binary @photo.jpg" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=x", b"nothing of a form"),
        ("multipart/form-data; boundary=" + "x" * 300, b"--x\r\n"),
        ("multipart/form-data; boundary=x", b"--x\r\n" + b"a: b\r\n" * 1000),
    ],
)
def test_a_damaged_form_is_400(api: TestClient, content_type: str, body: bytes) -> None:
    answer = api.post("/v1/predict", content=body, headers={"content-type": content_type})
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(("the form", "there is no image"))


def test_a_form_of_many_fields_is_400(api: TestClient) -> None:
    answer = api.post("/v1/predict", files=[("a", (None, "text"))] * 17)
    assert answer.json()["detail"] == "the form has too many fields that are no files"


def test_too_many_images_are_413(api: TestClient) -> None:
    answer = api.post("/v1/predict", files=form(*[photo()] * 4))
    assert answer.status_code == 413
    assert answer.json()["detail"] == "more than 3 images in one request; send several requests"


def test_a_body_over_the_limit_is_413(api: TestClient) -> None:
    status, answer = predict(api, bytes(200_001))
    assert status == 413
    assert answer["detail"] == "the body is larger than 0.2 MB; send a smaller image"


def test_a_compressed_body_is_415(api: TestClient) -> None:
    answer = api.post("/v1/predict", content=photo(), headers={"content-encoding": "gzip"})
    assert answer.status_code == 415
    assert answer.json()["detail"] == "compressed bodies are not taken: send the image as it is"


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("?top=0", "top = '0': must be a whole number, at least 1"),
        ("?top=many", "top = 'many': must be a whole number, at least 1"),
        ("?top=9999999999", "top = '9999999999': must be a whole number, at least 1"),
        ("?maps=jpg", "maps = 'jpg': must be one of none, grid, png"),
        ("?maps=png&top=21", "top = 21: with maps at most 20 classes are named"),
    ],
)
def test_a_wrong_parameter_is_400_and_named(api: TestClient, query: str, detail: str) -> None:
    assert predict(api, photo(), query) == (400, {"title": "Bad Request", "status": 400, "detail": detail})


def test_more_classes_than_there_are_give_all(api: TestClient) -> None:
    _, answer = predict(api, photo(), "?top=999999999")
    assert len(answer["predictions"][0]["classes"]) == len(NAMES)


def test_beyond_the_queue_is_503_with_the_time_to_come_again(api: TestClient, site: Site) -> None:
    with site.service.in_hand(8):
        answer = api.post("/v1/predict", content=photo())
    assert answer.status_code == 503
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert answer.json()["detail"].startswith("the server has 8 images in hand and takes 8; try again in ")
    assert predict(api, photo())[0] == 200


def test_more_bytes_than_may_be_held_are_503(api: TestClient, site: Site) -> None:
    with site.held.share() as share:
        share.take(site.held.limit)
        answer = api.post("/v1/predict", content=photo())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert predict(api, photo())[0] == 200


def test_nothing_is_held_after_good_and_bad_requests(api: TestClient, site: Site) -> None:
    for content in (photo(), b"text", bytes(200_001)):
        predict(api, content)
    assert (site.held.bytes, site.service.num_in_hand) == (0, 0)


def test_unknown_addresses_and_methods_are_answered_in_words(api: TestClient) -> None:
    assert api.get("/../../etc/passwd").json()["detail"] == "there is nothing here; see /openapi.json"
    assert api.get("/v1/predict").json()["detail"] == "this address does not take GET"


def test_the_description_names_every_route_and_answer(api: TestClient) -> None:
    described = api.get("/openapi.json").json()
    assert set(described["paths"]) == {"/v1/predict", "/v1/model", "/healthz", "/readyz", "/metrics"}
    assert set(described["paths"]["/v1/predict"]["post"]["responses"]) >= {
        "200",
        "400",
        "413",
        "415",
        "422",
        "503",
    }


def test_metrics_count_requests_images_and_batches(api: TestClient) -> None:
    def value(name: str) -> float:
        lines = api.get("/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    before = value("effnet_batch_images_sum")
    predict(api, photo())
    assert value("effnet_batch_images_sum") == before + 1
    assert value('effnet_images_total{status="200"}') >= before + 1
    assert value('effnet_requests_total{path="/v1/predict",status="200"}') >= 1
    assert value("effnet_model_info") == 1


def test_an_alpha_channel_and_a_palette_are_answered(api: TestClient) -> None:
    for mode in ("RGBA", "P", "LA", "1", "I;16"):
        assert predict(api, encoded(Image.new(mode, (30, 20))))[0] == 200
