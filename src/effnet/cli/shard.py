"""`effnet shard`: a data set as WebDataset shards with an index."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from effnet.cli.output import big, console, print_json
from effnet.cli.parse import parse
from effnet.cli.progress import TerminalReporter
from effnet.data.sharded.result import ShardResult, ShardSettings
from effnet.data.sharded.run import shard


@dataclass(frozen=True)
class ShardForm:
    """Write a data set as WebDataset shards with an index, or verify such a set.

    The files of images are copied as they are. What was interrupted goes on with the same command, after the
    last whole shard, and ends in the same bytes. The folder, or the URL that it is put at, is DATA then.
    """

    data: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    """A name (digits, cifar10, food101, …), a folder of images, a .csv, .tar or .parquet file, or hf:NAME.
    Without --out the folder or URL of a set to verify."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Folder for shards and index."""
    verify: bool = False
    """Read all shards, in the end or alone, and compare their checksums with the index."""
    overwrite: bool = False
    """Replace a set in the folder."""
    json: bool = False
    """Print one JSON object instead of progress and summary."""
    settings: Annotated[ShardSettings, tyro.conf.arg(name="")] = field(default_factory=ShardSettings)


def run(args: Sequence[str]) -> None:
    """Run the command."""
    form = parse(ShardForm, "shard", args)
    with TerminalReporter(quiet=form.json) as reporter:
        try:
            result = shard(
                form.data,
                form.out,
                verify=form.verify,
                overwrite=form.overwrite,
                reporter=reporter,
                **asdict(form.settings),
            )
        except KeyboardInterrupt:
            reporter.message("shards that are whole are kept; the same command goes on after them")
            raise
    if form.json:
        print_json(result.to_dict())
    else:
        show(result)


def show(result: ShardResult) -> None:
    """Print what there is now."""
    out, index = console(), result.index
    count = len(index.entries)
    out.print(
        f"{index.num_images:,} images of {len(index.class_names):,} classes in {count:,} "
        f"shard{'s' if count > 1 else ''}, {big(index.num_bytes)}B, in {result.folder}",
        markup=False,
    )
    for part, of in index.parts.items():
        out.print(f"  {part}: {sum(entry.images for entry in of):,} images, {of[0].tar.file}", end="")
        out.print(f" … {of[-1].tar.file}" if len(of) > 1 else "")
    if index.skipped:
        out.print(f"  skipped: {len(index.skipped):,} that cannot be read, named in index.json")
    if result.verified:
        out.print("All checksums are those of the index.")
    out.print(f"\nTry: effnet train {result.folder}", markup=False)
