"""Stages of every kind that a network can have, for properties."""

from hypothesis import strategies as st

from effnet.spec.netspec import Stage

KERNELS = st.sampled_from([1, 3, 5, 7, 9, 11])
STRIDES = st.integers(1, 4)


def stages(max_channels: int, max_repeats: int) -> st.SearchStrategy[Stage]:
    """Draw any stage; a bottleneck has up to four times the channels."""
    channels, repeats = st.integers(1, max_channels), st.integers(1, max_repeats)
    inverted = st.builds(
        Stage,
        block=st.sampled_from(["mbconv", "fused-mbconv"]),
        expand_ratio=st.integers(1, 6),
        kernel_size=KERNELS,
        stride=STRIDES,
        out_channels=channels,
        repeats=repeats,
        se_ratio=st.floats(0.0, 1.0),
    )
    plain = st.builds(
        Stage,
        st.sampled_from(["separable", "basic"]),
        st.just(1),
        KERNELS,
        STRIDES,
        channels,
        repeats,
        st.just(0.0),
    )
    bottlenecks = st.tuples(st.integers(1, 4), channels, KERNELS, STRIDES, repeats).map(
        lambda drawn: Stage("bottleneck", drawn[0], drawn[2], drawn[3], drawn[0] * drawn[1], drawn[4], 0.0)  # type: ignore[arg-type]
    )
    return st.one_of(inverted, plain, bottlenecks)
