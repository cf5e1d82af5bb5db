"""From an image file to the array a network expects: one way, used everywhere. No torch in here."""
