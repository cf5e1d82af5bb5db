"""Whatever is sent, the server lives, makes no error of its own, and answers the next good image."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from served import make_site, photo, post, running, talk

from effnet.inference.server.site import Site
from mutations import cases, images, send

SETTINGS: dict[str, Any] = {"max_megapixels": 1.0, "max_body_mb": 1.0, "timeout": 5.0}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("mutations"), **SETTINGS)


@pytest.fixture(scope="module")
def port(site: Site) -> Iterator[int]:
    with running(site) as given:
        yield given


def predictions(answer: bytes) -> object:
    return json.loads(answer.partition(b"\r\n\r\n")[2])["predictions"]


def test_whole_images_of_every_format_are_answered(port: int) -> None:
    assert {send(port, post(content)) for content in images()} == {200}


def test_2000_broken_requests_are_survived(port: int, site: Site) -> None:
    good = post(photo())
    expected = predictions(talk(port, good))
    statuses = Counter(send(port, case.request) for case in cases(seed=0, count=2000))
    assert not {status for status in statuses if status is not None and status >= 500}
    assert {200, 400, 415, 422} <= set(statuses)
    assert predictions(talk(port, good)) == expected
    assert (site.held.bytes, site.service.num_in_hand) == (0, 0)
