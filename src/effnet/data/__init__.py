"""From a data set's name or folder to batches on the device."""
