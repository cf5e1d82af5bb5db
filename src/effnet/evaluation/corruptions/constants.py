"""What the constants of a corruption mean, and how those that are lengths grow with the image."""

from typing import NamedTuple


class Glass(NamedTuple):
    """Glass blur: a Gaussian blur before and after pixels change places."""

    sigma: float
    max_delta: int
    """How far a pixel is taken from."""
    iterations: int

    def at(self, factor: float) -> "Glass":
        """Return the same in an image that is larger by a factor."""
        return Glass(self.sigma * factor, max(1, int(self.max_delta * factor)), self.iterations)


class Defocus(NamedTuple):
    """Defocus blur: a disc with softened border."""

    radius: float
    alias_blur: float

    def at(self, factor: float) -> "Defocus":
        """Return the same in an image that is larger by a factor."""
        return Defocus(self.radius * factor, self.alias_blur * factor)


class Motion(NamedTuple):
    """Motion blur as ImageMagick has it: half a Gaussian along a line, 2 ⌈radius⌉ + 1 pixels of it."""

    radius: float
    sigma: float

    def at(self, factor: float) -> "Motion":
        """Return the same in an image that is larger by a factor."""
        return Motion(self.radius * factor, self.sigma * factor)


class Zoom(NamedTuple):
    """Zoom blur: the mean of the image and its enlargements by 1, 1 + step … below `stop`."""

    stop: float
    step: float


class Snow(NamedTuple):
    """Snow: flakes are enlarged noise above a threshold, blurred by motion; the image is whitened."""

    mean: float
    std: float
    zoom: float
    threshold: float
    blur: Motion
    kept: float
    """Share of the image that is not whitened."""

    def at(self, factor: float) -> "Snow":
        """Return the same in an image that is larger by a factor."""
        return self._replace(zoom=max(1.0, self.zoom * factor), blur=self.blur.at(factor))


class Frost(NamedTuple):
    """Frost: weights of the image and of a picture of frost, and the size of that picture."""

    image: float
    frost: float
    scale: float
    """As a share of what it is for 224 pixels."""

    def at(self, factor: float) -> "Frost":
        """Return the same in an image that is larger by a factor."""
        return self._replace(scale=self.scale * factor)


class Fog(NamedTuple):
    """Fog: weight of a plasma fractal, and by what its details fade from octave to octave."""

    weight: float
    decay: float


class Elastic(NamedTuple):
    """Elastic transform: a smooth random shift of each pixel, and an affine map of the whole."""

    alpha: float
    """By how much the smoothed noise is multiplied, in pixels."""
    sigma: float
    """Smoothing of the noise, in pixels."""
    affine: float
    """How far the three corners that define the affine map may move, in pixels."""

    def at(self, factor: float) -> "Elastic":
        """Return the same in an image that is larger by a factor."""
        return Elastic(*(value * factor for value in self))
