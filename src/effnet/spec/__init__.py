"""Networks as values: what they are made of, how they scale, what they cost. No torch in here."""
