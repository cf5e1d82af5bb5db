"""What fine-tuning is configured by: typed values, and the rules that set them by the size of a data set."""
