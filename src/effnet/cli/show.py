"""`effnet show`: the networks with their costs, or one network, model file or recipe, or a table."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.markup import escape

from effnet import modelfile
from effnet.cli.output import big, console, print_json, table
from effnet.cli.parse import parse
from effnet.cli.show_export import print_export
from effnet.cli.show_origins import learning_words, print_half, print_import, print_origins, sizing_words
from effnet.cli.stages import count_classes, spec_table
from effnet.cli.table3 import show_table
from effnet.errors import UsageError, unknown_name
from effnet.imaging import preprocess as preprocessing
from effnet.inference import onnxfile
from effnet.inference.onnxfile import OnnxFile, is_onnx_file
from effnet.modelfile import ModelHeader
from effnet.shipped.catalogue import SHIPPED, card_of
from effnet.spec import netspec
from effnet.spec.cost import cost
from effnet.spec.families import NETWORKS, get_spec
from effnet.spec.netspec import NetSpec

TABLE_3 = "table3"


@dataclass(frozen=True)
class ShowForm:
    """Show the networks, or one of: a network's name, spec, model file, .onnx file, recipe, table3."""

    what: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="NAME|FILE")] = None
    """Name of a network or recipe, cifar10-small (trained, in the package), a .json spec, a .safetensors
    model file, an .onnx network, a .toml recipe; or table3: the paper's Table 3 with our count of MobileNets
    and ResNet-50 scaled."""
    classes: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Number of classes that the costs are for: 1000, or 10 for -cifar networks, when not given."""
    json: bool = False
    """Print one JSON object."""


def run(args: Sequence[str]) -> None:
    """Run the command."""
    form = parse(ShowForm, "show", args)
    if form.what is None:
        show_all(form)
    elif form.what == TABLE_3:
        if form.classes is not None:
            raise UsageError(f"{TABLE_3} is counted for ImageNet's 1000 classes; leave --classes out")
        show_table(form.json)
    elif modelfile.is_model_file(Path(form.what)):
        show_model(modelfile.load_header(Path(form.what)), form, card=card_of(Path(form.what)))
    elif is_onnx_file(Path(form.what)):
        exported = onnxfile.read(Path(form.what))
        show_model(exported.header, form, exported)
    elif is_recipe(form.what):
        show_recipe(form)
    else:
        show_spec(get_known(form.what), form)


def is_recipe(what: str) -> bool:
    """Tell whether a recipe is meant; networks and recipes have no names in common."""
    if what.endswith(".toml"):
        return True
    if what in NETWORKS or what.endswith(".json"):
        return False
    from effnet.recipe import recipe_names

    return what in recipe_names()


def get_known(what: str) -> NetSpec:
    """Look up a network; the error for an unknown name lists recipes too."""
    if what in NETWORKS or what.endswith(".json"):
        return get_spec(what)
    from effnet.recipe import recipe_names

    known = unknown_name("network or recipe", what, [*NETWORKS, *recipe_names(), *SHIPPED, TABLE_3])
    raise UsageError(f"{known}; or a .json, .safetensors, .onnx or .toml file")


def show_all(form: ShowForm) -> None:
    """List the networks and the recipes."""
    from effnet.recipe import recipe_names

    rows = [(spec, count_classes(form.classes, spec)) for spec in NETWORKS.values()]
    if form.json:
        networks = [network_dict(spec, classes) for spec, classes in rows]
        print_json({"networks": networks, "recipes": recipe_names(), "trained": list(SHIPPED)})
        return
    made = table(
        "", ["network", "resolution", "classes", "params", "MACs", "activations", "last map", "dropout"]
    )
    for spec, classes in rows:
        spent = cost(spec, classes)
        made.add_row(
            spec.name,
            str(spec.resolution),
            str(classes),
            big(spent.params),
            big(spent.macs),
            big(spent.activations),
            f"{spec.feature_size}×{spec.feature_size}",
            f"{spec.dropout:g}",
        )
    out = console()
    out.print(made)
    out.print(f"\nrecipes: {', '.join(recipe_names())}")
    out.print("".join(f"trained, in the package: {name}, {what}\n" for name, what in SHIPPED.items()), end="")
    out.print("More of one: effnet show NAME. Any size in between: effnet scale b0 --phi 1.5")
    out.print(f"The paper's Table 3, counted: effnet show {TABLE_3}")


def network_dict(spec: NetSpec, num_classes: int) -> dict[str, Any]:
    """Return a network and its cost as JSON values."""
    spent = cost(spec, num_classes)
    return {
        "name": spec.name,
        "num_classes": num_classes,
        "cost": asdict(spent),
        "spec": netspec.to_dict(spec),
    }


def show_spec(spec: NetSpec, form: ShowForm) -> None:
    """Show the stage table and the cost of a network."""
    num_classes = count_classes(form.classes, spec)
    if form.json:
        print_json(network_dict(spec, num_classes))
        return
    print_spec(spec, num_classes)


def print_spec(spec: NetSpec, num_classes: int) -> None:
    """Print the stage table, the totals and the fields that no row shows."""
    out = console()
    out.print(spec_table(spec, num_classes))
    spent = cost(spec, num_classes)
    out.print(
        f"\n{spent.params:,} parameters, {big(spent.macs)} MACs, {big(spent.activations)} activations "
        f"for {num_classes} classes; total stride {spec.total_stride}"
    )
    out.print(
        f"{spec.activation}, {spec.padding} padding, dropout {spec.dropout:g}, drop-path {spec.drop_path:g}, "
        f"BN eps {spec.bn_eps:g}, BN momentum {spec.bn_momentum:g}"
    )


def show_recipe(form: ShowForm) -> None:
    """Show a recipe: its text, or all its values as JSON."""
    from effnet import config, recipe

    assert form.what is not None  # `run` got here by it
    if form.json:
        print_json(config.to_dict(config.load_recipe(form.what)))
    else:
        console().print(recipe.recipe_text(form.what), markup=False, end="")


def show_model(
    header: ModelHeader, form: ShowForm, exported: OnnxFile | None = None, *, card: Path | None = None
) -> None:
    """Show what a model file says, or the exported network that was made of it; and where its card is."""
    if form.json:
        more = {} if exported is None else {"export": dict(exported.export)}
        print_json(model_dict(header) | more | ({} if card is None else {"card": str(card)}))
        return
    print_spec(header.spec, header.num_classes)
    out, pre = console(), header.preprocess
    out.print(
        f"\n[bold]preprocessing[/] short side to {pre.resized_short_side} ({pre.interpolation}), "
        f"middle {pre.resolution}×{pre.resolution}, {pre.colours}, "
        f"mean {pre.mean}, std {pre.std}"
    )
    names = ", ".join(header.class_names[:20]) + (", …" if header.num_classes > 20 else "")
    out.print(f"[bold]classes[/] {header.num_classes}: {escape(names)}")
    print_import(header)
    print_half(header)
    if header.is_recorded:
        print_training(header)
    print_metrics(header.metrics)
    if exported is not None:
        print_export(exported)
    if card is not None:
        out.print(f"[bold]card[/] {escape(str(card))}: what it was made of and by, and what it is not for")


def print_metrics(metrics: Mapping[str, Any]) -> None:
    """Print what was measured, a line for each part, and which epoch was kept."""
    out = console()
    for name, values in metrics.items():
        if name == "chosen":
            out.print(
                f"[bold]kept[/] epoch {values['epoch'] + 1}, in training top1 {values['top1']:.4g}, "
                f"loss {values['loss']:.4g} on the validation images"
            )
        elif name == "calibration":
            before, after = values["before"]["ece"], values["after"]["ece"]
            out.print(
                f"[bold]calibrated[/] to temperature {values['temperature']:.4g} on {values['num_images']:,} "
                f"validation images: calibration error {before:.1%}, then {after:.1%}"
            )
        elif isinstance(values, dict):
            shown = ", ".join(f"{key} {short(value)}" for key, value in values.items())
            when = " (before calibration)" if "calibration" in metrics else ""
            out.print(f"[bold]{name}[/] {shown}{when}")


def short(value: Any) -> str:
    """Write a measurement, or the two ends of its interval, with four digits."""
    if isinstance(value, list):
        return " to ".join(map(short, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def print_training(header: ModelHeader) -> None:
    """Print the training record."""
    training = header.training
    place = training["environment"]
    seconds = header.metrics.get("seconds")
    spent = "not evaluated yet, " if seconds is None else f"in {seconds:.0f} s "
    counts = ", ".join(f"{count:,} {part}" for part, count in training["num_images"].items())
    console().print(
        f"[bold]trained[/] on {escape(training['data'])} ({counts}), {learning_words(header)}, "
        f"seed {training['config']['seed']}, {spent}on {place['accelerator'] or place['device']}, "
        f"torch {place['torch']}, effnet {place['effnet']}"
    )
    if "sizing" in training:
        console().print(f"[bold]sized[/] {sizing_words(training['sizing'])}", highlight=False)
    print_origins(training)


def model_dict(header: ModelHeader) -> dict[str, Any]:
    """Return what a model file says as JSON values."""
    return network_dict(header.spec, header.num_classes) | {
        "preprocess": preprocessing.to_dict(header.preprocess),
        "class_names": list(header.class_names),
        "training": dict(header.training),
        "metrics": dict(header.metrics),
        "temperature": header.temperature,
        "effnet_version": header.effnet_version,
    }
