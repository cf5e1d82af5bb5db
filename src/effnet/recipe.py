"""The files of recipes: by name inside the package, or by path. Their values are for `config` to judge."""

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

from effnet.errors import UsageError, unknown_name

MAX_BYTES = 1 << 20


def recipe_names() -> list[str]:
    """Names of the recipes inside the package."""
    return sorted(path.name.removesuffix(".toml") for path in _recipes() if path.name.endswith(".toml"))


def recipe_text(name: str) -> str:
    """Return the text of a recipe with its comments: command, machine, minutes, measured result."""
    if name.endswith(".toml"):
        try:
            with Path(name).open("rb") as file:
                content = file.read(MAX_BYTES + 1)  # a device has no size
            if len(content) > MAX_BYTES:
                raise UsageError(f"recipe {name} has more than {MAX_BYTES:,} bytes; that is no recipe")
            return content.decode("utf-8").replace("\r\n", "\n")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read recipe {name}: {error}") from None
    if name not in recipe_names():
        known = unknown_name("recipe", name, recipe_names())
        raise UsageError(f"{known}; or the path of a .toml file")
    return (files("effnet") / "recipes" / f"{name}.toml").read_text(encoding="utf-8")


def read_recipe(name: str) -> dict[str, Any]:
    """Read the values of a recipe, unchecked.

    Raises:
        UsageError: unknown name, unreadable file, or no TOML.

    """
    try:
        return tomllib.loads(recipe_text(name))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"recipe {name} is not valid TOML: {error}") from None


def _recipes() -> Any:
    return (files("effnet") / "recipes").iterdir()
