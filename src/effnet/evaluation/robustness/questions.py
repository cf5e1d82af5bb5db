"""Each condition as one call of the Python API, from a classifier and data."""

from pathlib import Path
from typing import Unpack

from effnet.data.datasets import DataSet, open_dataset
from effnet.data.pixels import silent
from effnet.evaluation.classifier import Classifier
from effnet.evaluation.opened import OpenOptions
from effnet.evaluation.robustness.corrupted import Robustness, Settings, measure_robustness
from effnet.evaluation.robustness.follow import Follow, ignore
from effnet.evaluation.robustness.passes import open_store, run_pass
from effnet.evaluation.robustness.resolutions import Resolutions, measure_resolutions
from effnet.evaluation.robustness.tta import Augmented, ViewsName, measure_views

Data = str | Path | DataSet


def robustness(
    classifier: Classifier, data: Data, *, follow: Follow = ignore, **options: Unpack[OpenOptions]
) -> Robustness:
    """Measure a model under the 15 common corruptions at 5 severities; passes are kept, and not done twice.

    Args:
        classifier: the model.
        data: name or folder.
        follow: hears how it goes on.
        options: which images, how they are read, and the seed of what is random in corruptions.

    Raises:
        DataError: the data has classes that the model lacks, or too many images are unreadable.
        UsageError: no such split, or the images are smaller than 8 pixels.

    """
    with classifier.opened(data, **options) as opened:
        clean = run_pass(classifier, opened)
        store = open_store(classifier, opened, options.get("say", silent))
        settings = Settings(options.get("seed", 0), store)
        return measure_robustness(classifier, opened, clean, settings=settings, follow=follow)


def resolutions(
    classifier: Classifier, data: Data, *, follow: Follow = ignore, **options: Unpack[OpenOptions]
) -> Resolutions:
    """Measure a model at 0.5 to 1.5 times its resolution; see `measure_resolutions`, `robustness`."""
    dataset = data if isinstance(data, DataSet) else open_dataset(data)
    with classifier.opened(dataset, **options) as opened:
        own = run_pass(classifier, opened)
    return measure_resolutions(classifier, dataset, own, follow=follow, **options)


def views(
    classifier: Classifier,
    data: Data,
    *,
    name: ViewsName,
    follow: Follow = ignore,
    **options: Unpack[OpenOptions],
) -> Augmented:
    """Measure a model on the mean over several views of each image: `flip`, `shifts` or `flip-shifts`."""
    with classifier.opened(data, **options) as opened:
        single = classifier.judge(opened)
        return measure_views(classifier, opened, single, name=name, follow=follow)
