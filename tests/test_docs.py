"""The documents: what they point to exists, and what they show runs."""

import re
from pathlib import Path

import pytest

import scale_table
from effnet.cli.main import COMMANDS, main
from effnet.spec.cost import cost
from effnet.spec.families import B0, NETWORKS, OFFICIAL_TABLE, OfficialRow
from effnet.spec.scale import scale
from effnet.spec.table3 import TABLE_3, count

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    path
    for path in (*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md")
    if path.exists()
)

FENCE = re.compile(r"^```(?P<language>[^\n]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
INLINE_CODE = re.compile(r"`(?P<text>[^`\n]+)`")
PATH = re.compile(r"[\w.*-]+(/[\w.*-]+)+/?")
EFFNET = re.compile(r"(?:^|[ /])effnet[ \t]+(?P<command>[a-z]\S*)", re.MULTILINE)

OUR_FOLDERS = ("src/", "tests/", "docs/", "benchmarks/")
SHELLS = ("sh", "bash", "shell", "console")
RUN = "python run"
"""Blocks so marked run one after the other, in one namespace for each document."""


def blocks(document: Path, *languages: str) -> list[str]:
    fences = FENCE.finditer(document.read_text(encoding="utf-8"))
    return [fence["text"] for fence in fences if fence["language"].strip() in languages]


def prose(document: Path) -> str:
    return FENCE.sub("", document.read_text(encoding="utf-8"))


def link_targets(document: Path) -> set[str]:
    targets = {link["target"].partition("#")[0] for link in LINK.finditer(prose(document))}
    return {target for target in targets if target and not target.startswith(("http:", "https:", "mailto:"))}


def paths_in_backticks(document: Path) -> set[str]:
    """Paths of the repository. Those of results, such as runs/curves.png, exist after a command only."""
    found = {code["text"] for code in INLINE_CODE.finditer(prose(document)) if PATH.fullmatch(code["text"])}
    return {path for path in found if path.endswith(".py") or path.startswith(OUR_FOLDERS)}


def commands_shown(document: Path) -> set[str]:
    lines = [line.partition("#")[0] for text in blocks(document, *SHELLS) for line in text.splitlines()]
    return {shown["command"] for shown in EFFNET.finditer("\n".join(lines))}


def rows_of(name: str, first: str, columns: int) -> list[list[str]]:
    """Rows of a document's tables that begin with `first` and have that many columns."""
    lines = (ROOT / "docs" / name).read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [row for row in rows if row[0] == first and len(row) == columns]


def printed_by(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(arguments) == 0
    return without_trailing_spaces(capsys.readouterr().out)


def without_trailing_spaces(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_relative_links_lead_somewhere(document: Path) -> None:
    assert {target for target in link_targets(document) if not (document.parent / target).exists()} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_paths_in_backticks_exist(document: Path) -> None:
    assert {path for path in paths_in_backticks(document) if not any(ROOT.glob(path.rstrip("/")))} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_shown_are_known(document: Path) -> None:
    assert commands_shown(document) <= set(COMMANDS)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("paper.md", ["show", "b0"]), ("article.md", ["show", "b0-cifar"])],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_stage_table_is_what_the_command_prints(
    name: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    shown = [without_trailing_spaces(text) for text in blocks(ROOT / "docs" / name, "text")]
    assert printed_by(arguments, capsys) in shown


@pytest.mark.parametrize("row", ["depth", "width", "resolution", "params", "macs", "blocks", "dropout"])
def test_comparison_with_the_formula_is_what_the_command_prints(
    row: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (shown,) = [text for text in blocks(ROOT / "docs" / "paper.md", "text") if "formula, φ = 3.5" in text]
    printed = printed_by(["scale", "b4", "--explain"], capsys).splitlines()
    assert [line for line in shown.splitlines() if line.startswith(row)] == [
        line for line in printed if line.startswith(row)
    ]


@pytest.mark.parametrize("name", [row.name for row in OFFICIAL_TABLE])
def test_paper_states_the_counted_costs_of_a_network(name: str) -> None:
    counted = cost(NETWORKS[name])
    (row,) = rows_of("paper.md", first=name.upper(), columns=8)
    assert (row[2], row[5]) == (f"{counted.params:,}", f"{counted.macs / 1e9:.3f} G")


TITLES = {"mobilenet-v1": "MobileNetV1", "mobilenet-v2": "MobileNetV2", "resnet-50": "ResNet-50"}


@pytest.mark.parametrize("base", TITLES)
def test_paper_states_table_3_as_it_is_counted(base: str) -> None:
    shown = rows_of("paper.md", first=TITLES[base], columns=7)
    for cells, row in zip(shown, [row for row in TABLE_3 if row.base == base], strict=True):
        counted = count(row)
        difference = f"{100 * counted.difference:+.1f} %".replace("-", "−")
        assert cells[2:] == [
            f"{row.giga_flops} B",
            f"{counted.cost.macs / 1e9:.3f} G",
            difference,
            f"{counted.exact_macs / 1e9:.3f} G",
            f"{row.top1} %",
        ]


@pytest.mark.parametrize("official", OFFICIAL_TABLE[1:], ids=lambda row: f"phi {row.phi:g}")
def test_paper_states_what_rounding_makes_of_phi(official: OfficialRow) -> None:
    factor = cost(scale(B0, official.phi)).macs / cost(B0).macs
    (row,) = rows_of("paper.md", first=f"{official.phi:g}", columns=4)
    assert row[3] == f"× {factor:.2f}"


def test_python_of_the_article_runs() -> None:
    namespace: dict[str, object] = {}
    for number, text in enumerate(blocks(ROOT / "docs" / "article.md", RUN), start=1):
        exec(compile(text, f"article.md, block {number}", "exec"), namespace)


@pytest.mark.parametrize("name", scale_table.TABLES)
def test_tables_of_large_trainings_are_what_is_computed(name: str) -> None:
    columns, rows = scale_table.TABLES[name]
    assert scale_table.markdown(columns, rows()) in (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("speed", scale_table.SPEEDS, ids=lambda speed: f"{speed.network} on {speed.gpu}")
def test_each_speed_computed_with_is_stated_with_its_source(speed: scale_table.Speed) -> None:
    rows = [
        line
        for line in (ROOT / "docs" / "scale.md").read_text(encoding="utf-8").splitlines()
        if line.startswith(f"| {speed.network.upper()}, ") and f"| {speed.gpu} | " in line
    ]
    assert f"| {speed.images_per_second:,} |" in rows[0]
    assert "https://" in rows[0] or "the same" in rows[0]


def test_twice_the_images_take_twice_as_long_and_twice_the_energy() -> None:
    speed = scale_table.SPEEDS[0]
    for of in (scale_table.seconds, scale_table.kilowatt_hours):
        assert of(speed, 2e6) == pytest.approx(2 * of(speed, 1e6))
    assert scale_table.seconds(speed, 2489.0) == pytest.approx(1.0)


@pytest.mark.parametrize("link", scale_table.LINKS.values())
def test_at_the_least_batch_sending_takes_as_long_as_computing(link: float) -> None:
    for speed in scale_table.SPEEDS:
        batch = scale_table.least_batch(speed, link)
        many = 10**9
        assert scale_table.ring_bytes(speed, many) / link == pytest.approx(batch / speed.images_per_second)
