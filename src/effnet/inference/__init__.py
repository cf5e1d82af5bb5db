"""An exported network in use, without torch: numpy, Pillow and onnxruntime are enough."""
