"""The shape of the house: imports go down only, and light commands load nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import effnet

ROOT = Path(effnet.__file__).parent

# From the ground up; a room may import itself and those before it.
ROOMS = (
    "errors", "files", "cluster", "recipe", "spec", "transfer", "config", "layouts", "imaging", "shipped",
    "weightfile", "modelfile", "inference", "device", "network", "importing", "data", "evaluation", "loading",
    "training", "exporting", "doctor", "sizing", "benching", "cli",
)  # fmt: skip

WITHOUT_TORCH = (
    "errors", "files", "cluster", "recipe", "spec", "transfer", "config", "layouts", "imaging", "shipped",
    "weightfile", "modelfile", "inference",
)  # fmt: skip
MAX_MODULE_LINES = 250
MAX_FUNCTION_LINES = 40
HEAVY = {
    "torch", "kornia", "sklearn", "matplotlib", "optuna", "sqlalchemy", "cleanlab", "imagehash", "pandas",
    "timm", "torchvision", "datasets", "pyarrow", "ray",
}  # fmt: skip


def modules() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*.py") if path.name not in ("__init__.py", "__main__.py"))


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    """Rooms that a file imports anywhere, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "effnet":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("effnet."):
            found.add(str(node.module).split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("effnet.")}
    return found - {"__version__"}


def loaded_after(statement: str) -> set[str]:
    """Top-level modules in a fresh interpreter after a statement."""
    code = f"{statement}\nimport sys\nprint(*sorted(m for m in sys.modules if '.' not in m))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down_only(path: Path) -> None:
    allowed = ROOMS[: ROOMS.index(room_of(path)) + 1]
    assert imported_rooms(path) <= set(allowed)


@pytest.mark.parametrize("room", WITHOUT_TORCH)
def test_room_does_without_torch(room: str) -> None:
    names = [path.relative_to(ROOT.parent).with_suffix("").as_posix().replace("/", ".") for path in modules()]
    of_room = [name for name in names if name.split(".")[1] == room]
    assert of_room
    assert not loaded_after("\n".join(f"import {name}" for name in of_room)) & HEAVY


def test_importing_effnet_loads_nothing_but_itself() -> None:
    assert not loaded_after("import effnet") & (HEAVY | {"numpy", "pydantic", "PIL", "rich", "tyro"})


def test_help_loads_no_library() -> None:
    statement = "from effnet.cli.main import main\nmain(['--help'])"
    assert not loaded_after(statement) & (HEAVY | {"numpy", "pydantic", "PIL", "rich", "tyro"})


@pytest.mark.parametrize("command", ["show", "scale"])
def test_light_command_explains_itself_without_torch(command: str) -> None:
    call = f"try:\n    main(['{command}', '--help'])\nexcept SystemExit:\n    pass"
    assert not loaded_after(f"from effnet.cli.main import main\n{call}") & HEAVY


@pytest.mark.parametrize("arguments", [["show"], ["show", "b0"], ["scale", "b0", "--phi", "1"]])
def test_light_command_runs_without_torch(arguments: list[str]) -> None:
    assert not loaded_after(f"from effnet.cli.main import main\nmain({arguments})") & HEAVY


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_and_functions_stay_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= MAX_MODULE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            code = (node.end_lineno or node.lineno) - node.body[0].lineno + 1
            assert code <= MAX_FUNCTION_LINES, f"{node.name} is {code} lines long"


def test_every_public_name_loads() -> None:
    for name in effnet.__all__:
        assert getattr(effnet, name) is not None
