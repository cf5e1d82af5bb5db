"""The networks that the paper measures beside its own (Tables 3 and 4), and the same for small images."""

from dataclasses import replace

from effnet.spec.netspec import Head, NetSpec, Stage, Stem

MOBILENET_V1 = NetSpec(
    name="mobilenet-v1",
    # Howard et al. 2017, Table 1. ReLU6 is the authors' code's and timm's; the text says ReLU.
    stem=Stem(kernel_size=3, stride=2, out_channels=32),
    stages=(
        #     block        expand  k  s    c  n  squeeze
        Stage("separable", 1, 3, 1, 64, 1, 0.0),
        Stage("separable", 1, 3, 2, 128, 2, 0.0),
        Stage("separable", 1, 3, 2, 256, 2, 0.0),
        Stage("separable", 1, 3, 2, 512, 6, 0.0),
        Stage("separable", 1, 3, 2, 1024, 2, 0.0),
    ),
    head=None,
    resolution=224,
    dropout=0.0,
    drop_path=0.0,
    activation="relu6",
    bn_eps=1e-5,
)

MOBILENET_V2 = NetSpec(
    name="mobilenet-v2",
    # Sandler et al. 2018, Table 2.
    stem=Stem(kernel_size=3, stride=2, out_channels=32),
    stages=(
        #     block     expand  k  s    c  n  squeeze
        Stage("mbconv", 1, 3, 1, 16, 1, 0.0),
        Stage("mbconv", 6, 3, 2, 24, 2, 0.0),
        Stage("mbconv", 6, 3, 2, 32, 3, 0.0),
        Stage("mbconv", 6, 3, 2, 64, 4, 0.0),
        Stage("mbconv", 6, 3, 1, 96, 3, 0.0),
        Stage("mbconv", 6, 3, 2, 160, 3, 0.0),
        Stage("mbconv", 6, 3, 1, 320, 1, 0.0),
    ),
    head=Head(out_channels=1280),
    resolution=224,
    dropout=0.2,
    drop_path=0.0,
    activation="relu6",
    bn_eps=1e-5,
)

RESNET_50 = NetSpec(
    name="resnet-50",
    # He et al. 2016, Table 1, in the version with the stride in the 3×3 convolution ("v1.5", torchvision's).
    stem=Stem(kernel_size=7, stride=2, out_channels=64, pool=True),
    stages=(
        #     block         expand  k  s     c  n  squeeze
        Stage("bottleneck", 4, 3, 1, 256, 3, 0.0),
        Stage("bottleneck", 4, 3, 2, 512, 4, 0.0),
        Stage("bottleneck", 4, 3, 2, 1024, 6, 0.0),
        Stage("bottleneck", 4, 3, 2, 2048, 3, 0.0),
    ),
    head=None,
    resolution=224,
    dropout=0.0,
    drop_path=0.0,
    activation="relu",
    bn_eps=1e-5,
)

RESNET_152 = replace(
    RESNET_50,
    name="resnet-152",  # of the paper's Table 4
    stages=tuple(
        replace(stage, repeats=repeats)
        for stage, repeats in zip(RESNET_50.stages, (3, 8, 36, 3), strict=True)
    ),
)

RESNET_18 = replace(
    RESNET_50,
    name="resnet-18",
    stages=(
        #     block    expand  k  s    c  n  squeeze
        Stage("basic", 1, 3, 1, 64, 2, 0.0),
        Stage("basic", 1, 3, 2, 128, 2, 0.0),
        Stage("basic", 1, 3, 2, 256, 2, 0.0),
        Stage("basic", 1, 3, 2, 512, 2, 0.0),
    ),
)

# For images of about 32 pixels the stem keeps their size, as in github.com/kuangliu/pytorch-cifar: ResNets
# lose their pool, MobileNetV2 the stride of its second stage. 32×32 ends in 4×4 cells.
_RESNET_CIFAR_STEM = Stem(kernel_size=3, stride=1, out_channels=64)

RESNET_18_CIFAR = replace(RESNET_18, name="resnet-18-cifar", stem=_RESNET_CIFAR_STEM, resolution=32)
RESNET_50_CIFAR = replace(RESNET_50, name="resnet-50-cifar", stem=_RESNET_CIFAR_STEM, resolution=32)

MOBILENET_V2_CIFAR = replace(
    MOBILENET_V2,
    name="mobilenet-v2-cifar",
    stem=replace(MOBILENET_V2.stem, stride=1),
    stages=tuple(
        replace(stage, stride=stride)
        for stage, stride in zip(MOBILENET_V2.stages, (1, 1, 2, 2, 1, 2, 1), strict=True)
    ),
    resolution=32,
)

BASELINES = (
    MOBILENET_V1,
    MOBILENET_V2,
    RESNET_18,
    RESNET_50,
    RESNET_152,
    MOBILENET_V2_CIFAR,
    RESNET_18_CIFAR,
    RESNET_50_CIFAR,
)
