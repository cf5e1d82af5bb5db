"""Names of pictures fit into every file system, whatever the classes and images are called."""

from hypothesis import given
from hypothesis import strategies as st

from effnet.evaluation.report import MAX_FILE_NAME_BYTES, file_name


def test_a_short_name_stays() -> None:
    assert file_name("große Ameise_猫") == "große Ameise_猫"


def test_a_long_name_is_cut_between_two_characters() -> None:
    assert file_name("猫" * 60).startswith("猫" * 30 + "-")


@given(st.text(st.characters(), max_size=300))
def test_no_name_is_longer_than_a_file_system_takes(text: str) -> None:
    assert len(file_name(text).encode(errors="surrogatepass")) <= MAX_FILE_NAME_BYTES


def test_long_names_that_differ_at_their_end_stay_apart() -> None:
    assert file_name("a" * 200 + "1") != file_name("a" * 200 + "2")
