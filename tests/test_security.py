"""What SECURITY.md promises, where no other test does; its table names the test of each sentence."""

import ast
import io
import json
import re
import tarfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.markup import escape
from safetensors.numpy import save_file

import effnet
from effnet import modelfile
from effnet.cli.main import main
from effnet.cli.output import SafeConsole, print_json, table
from effnet.cli.progress import TerminalReporter
from effnet.cli.visible import STEERING, visible
from effnet.config import load_recipe
from effnet.errors import EffnetError, ModelFileError, UsageError
from effnet.evaluation import page
from effnet.exporting.onnx import arrays_of
from effnet.imaging.preprocess import Preprocess
from effnet.modelfile import ModelHeader
from effnet.network.model import ConvNet
from effnet.spec.families import B0_CIFAR
from effnet.spec.scale import scale
from effnet.training import state as states
from effnet.weightfile import opened

ROOT = Path(effnet.__file__).parent
DOCUMENT = Path(__file__).parents[1] / "SECURITY.md"
HOSTILE = "\x1b]0;owned\x07\x1b[31mred\x9b2J\u202egnp.exe"

Capture = pytest.CaptureFixture[str]

# What would run what it is given: as a name, or as a method of a module.
RUNS = {"eval", "exec", "compile", "__import__"}
RUNS_OF = {
    "os": {"system", "popen", "startfile"},
    "pickle": {"load", "loads", "Unpickler"},
    "marshal": {"load", "loads"},
    "shelve": {"open"},
    "joblib": {"load"},
    "yaml": {"load", "unsafe_load", "full_load"},
    "dill": {"load", "loads"},
}
OWN_PIPE = ["benching/process.py: pickle.loads(payload)"]
"""A process that `effnet bench` starts gets its work from it, through a pipe that no other has."""
UNPACKS = {"extract", "extractall", "unpack_archive"}


@cache
def calls() -> tuple[tuple[str, ast.Call], ...]:
    """Every call in the package, with the name of its file."""
    return tuple(
        (path.relative_to(ROOT).as_posix(), node)
        for path in sorted(ROOT.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    )


def attribute(call: ast.Call) -> tuple[str, str]:
    """Return what a method is called on, where that is a name, and the method."""
    if isinstance(call.func, ast.Attribute):
        owner = call.func.value.id if isinstance(call.func.value, ast.Name) else ""
        return owner, call.func.attr
    return "", ""


def keyword(call: ast.Call, name: str) -> object:
    return next((getattr(k.value, "value", ...) for k in call.keywords if k.arg == name), None)


def test_nothing_in_the_package_can_run_what_it_reads() -> None:
    found = [
        f"{path}: {ast.unparse(call)}"
        for path, call in calls()
        if (isinstance(call.func, ast.Name) and call.func.id in RUNS)
        or attribute(call)[1] in RUNS_OF.get(attribute(call)[0], ())
    ]
    assert found == OWN_PIPE


def test_torch_loads_weights_only() -> None:
    loads = [call for _, call in calls() if attribute(call) == ("torch", "load")]
    assert loads
    assert all(keyword(call, "weights_only") is True for call in loads)


def test_programs_are_started_without_a_shell_and_remote_code_is_never_trusted() -> None:
    for path, call in calls():
        assert keyword(call, "shell") in (None, False), f"{path}:{call.lineno}"
        assert keyword(call, "trust_remote_code") in (None, False), f"{path}:{call.lineno}"


def test_nothing_is_ever_unpacked_from_an_archive_to_the_disk() -> None:
    """Members of tar files are read in place or in memory; so no name of one becomes a path."""
    assert [f"{path}:{call.lineno}" for path, call in calls() if attribute(call)[1] in UNPACKS] == []


@pytest.mark.parametrize("name", ["../../evil.bin", "/tmp/evil.bin", "cifar-10-batches-bin/../../evil.bin"])
def test_members_with_paths_that_lead_elsewhere_write_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive of CIFAR with members that are called so, and with links out of it."""
    from effnet.data import cifar

    monkeypatch.setenv("EFFNET_DATA", str(tmp_path / "cache"))
    archive = cifar.ARCHIVES["cifar10"]
    (tmp_path / "cache").mkdir()
    with tarfile.open(archive.path, "w:gz") as tar:
        info = tarfile.TarInfo(name)
        info.size = 4
        tar.addfile(info, io.BytesIO(b"evil"))
        for member in archive.members:
            link = tarfile.TarInfo(member.name)
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(link)
    evil = replace(archive, md5=cifar_md5(archive.path))
    with pytest.raises(EffnetError):
        cifar.load(evil, lambda done, total: None)
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} <= {
        archive.file,
        f"{archive.file}.lock",
    }
    assert not Path("/tmp/evil.bin").exists()


def cifar_md5(path: Path) -> str:
    from effnet.data.download import md5_of

    return md5_of(path)


@pytest.mark.parametrize(
    "text",
    [
        "model = \"__import__('os').system('touch executed')\"",
        'model = "$(touch executed)"',
        '[optim]\nname = "os.system"',
        '__class__ = "effnet"',
        "[optim.__init__.__globals__]\nx = 1",
        "a = " + "[" * 100_000,
        "a = '''" + "x" * (2 << 20) + "'''",
    ],
    ids=lambda text: text[:24],
)
def test_a_recipe_is_values_and_nothing_else(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(UsageError):
        effnet.train("digits", recipe="a.toml", out=tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["a.toml"]


def test_a_recipe_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "endless.toml"
    path.symlink_to("/dev/zero")
    with pytest.raises(UsageError, match=r"more than 1,048,576 bytes; that is no recipe"):
        load_recipe(str(path))


def test_a_state_is_numbers_and_json(tmp_path: Path) -> None:
    """Bytes of anything else are damage: a state is never unpickled."""
    import hashlib
    import pickle

    content = pickle.dumps({"step": 1})
    (tmp_path / states.STATE_FILE).write_bytes(hashlib.sha256(content).digest() + content)
    with pytest.raises(states.StateError, match="is damaged"):
        states.load(tmp_path)


def small_file(path: Path, channels: int) -> Path:
    """Write a model file whose header says that the last layers have other channels than their weights do."""
    spec = replace(scale(B0_CIFAR, -8), resolution=8)
    modelfile.save(path, ModelHeader(spec, Preprocess(8), ("a", "b")), arrays_of(ConvNet(spec, 2)))
    with opened(path) as file:
        header = json.loads(file.metadata()[modelfile.METADATA_KEY])
    for layer in (header["spec"]["stages"][-1], header["spec"]["head"]):
        layer["out_channels"] = channels
    arrays = modelfile.load(path)[1]
    save_file(arrays, path, {modelfile.METADATA_KEY: json.dumps(header), "format": "pt"})
    return path


def test_a_small_file_of_an_enormous_network_is_refused_before_it_is_built(tmp_path: Path) -> None:
    path = small_file(tmp_path / "model.safetensors", 65_536)
    with pytest.raises(
        ModelFileError, match=r"would have [\d,]+ parameters, and the file holds [\d,]+ numbers"
    ):
        effnet.load(path)


def test_a_header_that_says_it_is_enormous_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes((1 << 40).to_bytes(8, "little") + b"{}")
    with pytest.raises(ModelFileError, match="not a model file, or damaged"):
        effnet.load(path)


def test_every_page_escapes_all_that_it_shows() -> None:
    """All pages come from one environment, which escapes; no template and no code says otherwise."""
    assert page._templates("effnet.evaluation").autoescape is True
    for path in ROOT.rglob("templates/*"):
        assert not re.search(r"\|\s*safe\b|autoescape", path.read_text(encoding="utf-8")), path
    text = "".join(path.read_text(encoding="utf-8") for path in ROOT.rglob("*.py"))
    assert "markupsafe" not in text
    assert text.count("jinja2.Environment(") == 1


@pytest.mark.parametrize(
    "character", ["\x00", "\x07", "\x08", "\r", "\x1b", "\x7f", "\x9b", "\u202e", "\u2066"]
)
def test_what_steers_a_terminal_is_made_visible(character: str) -> None:
    assert visible(f"a{character}b") == f"a{ascii(character)[1:-1]}b"


@pytest.mark.parametrize("text", ["Käse\t蜂\n", "👨‍👩‍👧", "می‌خواهم", "\udcff", "a\u00a0b"])
def test_all_other_text_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


def test_no_text_steers_the_terminal_through_tables_and_messages() -> None:
    written = io.StringIO()
    console = SafeConsole(
        file=written, force_terminal=True, color_system="truecolor", width=200, highlight=False
    )
    made = table(HOSTILE, ["class"])
    made.add_row(escape(HOSTILE))
    console.print(made, f"[bold]{escape(HOSTILE)}[/]")
    console.print(HOSTILE, markup=False)
    ours = re.sub(r"\x1b\[[0-9;]*m", "", written.getvalue().replace("\\x1b", ""))
    assert not STEERING.search(ours)
    assert written.getvalue().count("\\x1b]0;owned") == 4
    assert "\x1b[1m" in written.getvalue()  # bold is ours


def test_no_text_steers_the_terminal_through_progress_and_errors(tmp_path: Path, capsys: Capture) -> None:
    with TerminalReporter(quiet=False) as reporter:
        reporter.message(f"skipped: {HOSTILE}")
    assert main(["predict", str(tmp_path / f"{HOSTILE}.safetensors"), "x.png"]) == 1
    printed = capsys.readouterr().err
    assert printed.count("\\x1b]0;owned") == 2
    assert not STEERING.search(printed)


def test_hostile_names_of_files_and_classes_train_evaluate_and_predict(
    tmp_path: Path, capsys: Capture
) -> None:
    """A folder of images whose classes and files are called so, through three commands."""
    for kind in (HOSTILE, "bee"):
        for number in range(6):
            path = tmp_path / "data" / kind / f"{HOSTILE}{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(noise).save(path)
    (tmp_path / "data" / "bee" / f"{HOSTILE}broken.png").write_bytes(b"")
    flags = ["--phi", "-10", "--epochs", "1", "--resolution", "8", "--data.max-broken", "0.5"]
    model = tmp_path / "run" / "model.safetensors"
    assert main(["train", str(tmp_path / "data"), "--out", str(tmp_path / "run"), *flags]) == 0
    assert main(["evaluate", str(model), str(tmp_path / "data"), "--split", "all"]) == 0
    assert main(["predict", str(model), str(tmp_path / "data" / HOSTILE)]) == 0
    assert main(["show", str(model)]) == 0
    printed = capsys.readouterr()
    assert "owned" in printed.out
    assert "owned" in printed.err
    assert not STEERING.search(printed.out + printed.err)


def test_json_says_the_same_without_steering(capsys: Capture) -> None:
    print_json({"name": HOSTILE})
    text = capsys.readouterr().out
    assert not STEERING.search(text)
    assert json.loads(text) == {"name": HOSTILE}


def test_each_sentence_of_the_document_names_tests_that_exist() -> None:
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| ") and not line.startswith("| what is promised")]
    assert len(rows) >= 20
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
        assert named, f"no test for: {row}"
        for path, test in named:
            assert f"def {test}(" in (DOCUMENT.parent / path).read_text(encoding="utf-8"), f"{path}::{test}"
