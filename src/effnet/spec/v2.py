"""EfficientNetV2-S, -M and -L (Tan & Le 2021): fused blocks while maps are large."""

from effnet.spec.netspec import Head, NetSpec, Stage, Stem

V2_S = NetSpec(
    name="v2-s",
    # EfficientNetV2, Table 4. Resolution of training and dropout here and below: `effnetv2_configs.py`
    # in github.com/google/automl, folder efficientnetv2; it tests at 384.
    stem=Stem(kernel_size=3, stride=2, out_channels=24),
    stages=(
        #     block         expand  k  s    c  n  squeeze
        Stage("fused-mbconv", 1, 3, 1, 24, 2, 0.0),
        Stage("fused-mbconv", 4, 3, 2, 48, 4, 0.0),
        Stage("fused-mbconv", 4, 3, 2, 64, 4, 0.0),
        Stage("mbconv", 4, 3, 2, 128, 6, 0.25),
        Stage("mbconv", 6, 3, 1, 160, 9, 0.25),
        Stage("mbconv", 6, 3, 2, 256, 15, 0.25),
    ),
    head=Head(out_channels=1280),
    resolution=300,
)

V2_M = NetSpec(
    name="v2-m",
    # `effnetv2_configs.py`: v2_m_block; it tests at 480.
    stem=Stem(kernel_size=3, stride=2, out_channels=24),
    stages=(
        #     block         expand  k  s    c  n  squeeze
        Stage("fused-mbconv", 1, 3, 1, 24, 3, 0.0),
        Stage("fused-mbconv", 4, 3, 2, 48, 5, 0.0),
        Stage("fused-mbconv", 4, 3, 2, 80, 5, 0.0),
        Stage("mbconv", 4, 3, 2, 160, 7, 0.25),
        Stage("mbconv", 6, 3, 1, 176, 14, 0.25),
        Stage("mbconv", 6, 3, 2, 304, 18, 0.25),
        Stage("mbconv", 6, 3, 1, 512, 5, 0.25),
    ),
    head=Head(out_channels=1280),
    resolution=384,
    dropout=0.3,
)

V2_L = NetSpec(
    name="v2-l",
    # `effnetv2_configs.py`: v2_l_block; it tests at 480.
    stem=Stem(kernel_size=3, stride=2, out_channels=32),
    stages=(
        #     block         expand  k  s    c  n  squeeze
        Stage("fused-mbconv", 1, 3, 1, 32, 4, 0.0),
        Stage("fused-mbconv", 4, 3, 2, 64, 7, 0.0),
        Stage("fused-mbconv", 4, 3, 2, 96, 7, 0.0),
        Stage("mbconv", 4, 3, 2, 192, 10, 0.25),
        Stage("mbconv", 6, 3, 1, 224, 19, 0.25),
        Stage("mbconv", 6, 3, 2, 384, 25, 0.25),
        Stage("mbconv", 6, 3, 1, 640, 7, 0.25),
    ),
    head=Head(out_channels=1280),
    resolution=384,
    dropout=0.4,
)

V2 = (V2_S, V2_M, V2_L)
