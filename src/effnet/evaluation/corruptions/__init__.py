"""The 15 common corruptions of Hendrycks and Dietterich, at 5 severities, for batches of images."""
