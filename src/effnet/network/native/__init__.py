"""Layers of EfficientNet in C++ to train on a CPU: `kernels.cpp`, compiled by `build`, called by `ops`."""
