"""What `effnet show` says of imported weights: where they came from."""

from rich.markup import escape

from effnet.cli.output import console
from effnet.modelfile import ModelHeader


def print_origin(header: ModelHeader) -> None:
    """Print where imported weights came from, and what was changed of them."""
    imported = header.training.get("imported")
    if isinstance(imported, dict):
        kind = f", variant {imported['variant']}" if imported.get("variant") else ""
        changes = "".join(f"; {change}" for change in imported.get("changes", []))
        console().print(
            f"[bold]imported[/] from {escape(str(imported.get('source')))} ({imported.get('library')}{kind})"
            f"{escape(changes)}"
        )
