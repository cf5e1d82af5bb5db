"""What is wrong with a data set: files, copies, labels, classes; and what to do about it."""
