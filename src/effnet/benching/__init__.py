"""Benching: networks beside each other on this machine, ours and those of other libraries, in turns."""
