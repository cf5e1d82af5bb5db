"""Entry point: pick the command, import only what it needs, map errors to exit codes."""

import errno
import io
import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module

from effnet import __version__
from effnet.cli.visible import visible
from effnet.errors import EffnetError, MissingExtraError, UsageError, unknown_name

# name -> (module, one line of help). A command's module is imported when that command runs.
COMMANDS = {
    "show": ("effnet.cli.show", "list the networks, or show one, a model file or a recipe"),
    "scale": ("effnet.cli.scale", "scale a network by the compound coefficient phi"),
    "budget": ("effnet.cli.budget", "find the largest network within limits, measured here"),
    "bench": ("effnet.cli.bench", "time networks here, ours beside those of other libraries"),
    "train": ("effnet.cli.train", "train a network on a data set and write a model file"),
    "study": ("effnet.cli.study", "compare ways of scaling a network at equal cost, and foresee larger ones"),
    "evaluate": ("effnet.cli.evaluate", "measure a model file on a data set"),
    "check": ("effnet.cli.check", "look for broken files, copies and wrong labels in a data set"),
    "predict": ("effnet.cli.predict", "classify images with a model file"),
    "import": ("effnet.cli.importing", "turn weights of timm, torchvision and others into a model file"),
    "export": ("effnet.cli.export", "write a model file as ONNX, proved, also in int8"),
    "serve": ("effnet.cli.serve", "answer images over HTTP, with a page"),
    "search": ("effnet.cli.search", "search alpha, beta and gamma for a network and your data"),
    "shard": ("effnet.cli.shard", "write a data set as tar files with an index, to train on from anywhere"),
}

INSTALL = {
    "torch": "train",
    "kornia": "train",
    "sklearn": "train",
    "scipy": "train",
    "filelock": "train",
    "matplotlib": "train",
    "jinja2": "train",
    "optuna": "search",
    "sqlalchemy": "search",
    "huggingface_hub": "hub",
    "onnx": "export",
    "onnxscript": "export",
    "onnxruntime": "serve",
    "fastapi": "serve",
    "httptools": "serve",
    "starlette": "serve",
    "uvicorn": "serve",
    "prometheus_client": "serve",
    "python_multipart": "serve",
    "pyarrow": "parquet",
    "fsspec": "remote",
    "aiohttp": "remote",
    "cleanlab": "doctor",
    "imagehash": "doctor",
    "pandas": "doctor",
    "ray": "cluster",
}
NEEDS = {"export": "export", "search": "search", "check": "doctor"}
"""Extras of commands that need more than one of these modules: the extra that has them all."""


# What writing to standard output fails with, when it is a file on a disk.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)

# OpenMP threads that wait in a busy loop starve each other as soon as two programs share the processors: two
# trainings side by side ran at 8 images/s each on 2 cores instead of 140 (one alone: 488; with this: 470).
SPIN_COUNT = "2000"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return the exit code: 0 success, 1 failure, 2 wrong use."""
    args = list(sys.argv[1:] if argv is None else argv)
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)  # read when torch is imported
    _prepare_output()
    debug = "--debug" in args
    args = [arg for arg in args if arg != "--debug"]
    try:
        return _dispatch(args)
    except EffnetError as error:
        if debug:
            raise
        code = _fail(_of_one_process(error), error.exit_code)
        if error.ending is not None:
            error.ending(code)
        return code
    except ModuleNotFoundError as error:
        if debug or error.name not in INSTALL:
            raise
        extra = NEEDS.get(args[0], INSTALL[error.name])
        return _fail(str(_missing_extra(error.name, extra)), MissingExtraError.exit_code)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has enough
        sys.stderr.close()
        return 0
    except OSError as error:
        if debug or error.filename is not None or error.errno not in FULL:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter's end fails again
        return _fail(f"cannot write the output: {error.strerror}", 1)


def _prepare_output() -> None:
    """Let no character end a command, and no library speak between its lines."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")  # an old code page, or a file's name that is no Unicode
    # An image that Pillow cannot read is an error that names it; what it only warns of has been read.
    warnings.filterwarnings("ignore", module=r"PIL\.")


def _dispatch(args: list[str]) -> int:
    if not args or args[0] in ("-h", "--help", "help"):
        sys.stdout.write(help_text())
        return 0
    if args[0] in ("-V", "--version"):
        sys.stdout.write(f"effnet {__version__}\n")
        return 0
    name = args[0]
    if name.startswith("-"):
        raise UsageError(f"unknown option {name!r} before the command; see effnet --help")
    if name not in COMMANDS:
        raise unknown_name("command", name, COMMANDS)
    import_module(COMMANDS[name][0]).run(args[1:])
    sys.stdout.flush()  # what cannot be written is an error of this command, not of the interpreter's end
    return 0


def help_text() -> str:
    """Return the text of `effnet --help`."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {summary}" for name, (_, summary) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: effnet COMMAND …",
            "",
            "Find, train, explain and ship the right-sized EfficientNet for your own images and budget.",
            "",
            *lines,
            "",
            "Each command explains itself: effnet train --help. Every command takes --debug for a traceback.",
            "First steps: effnet show; effnet predict cifar10-small PHOTO; effnet train digits; "
            "effnet train FOLDER_OF_IMAGES",
            "",
        ]
    )


def _missing_extra(module: str, extra: str) -> MissingExtraError:
    return MissingExtraError(f"this command needs {module}; install it with: pip install 'effnet[{extra}]'")


def _of_one_process(error: EffnetError) -> str:
    """Return what a process of a group says of an error; nothing, where the first one speaks for all."""
    rank = os.environ.get("RANK", "0") if "WORLD_SIZE" in os.environ else "0"
    if rank == "0":
        return str(error)
    return "" if error.is_common else f"process {rank}: {error}"


def _fail(message: str, code: int) -> int:
    """Print a message as one line, even if a name in it has several or would steer the terminal."""
    line = visible(message.replace("\n", " "))
    if line:
        sys.stderr.write(f"effnet: {line}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
