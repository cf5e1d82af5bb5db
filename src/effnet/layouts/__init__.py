"""How libraries call the weights of the same network: maps between their names and ours. No torch in here."""
