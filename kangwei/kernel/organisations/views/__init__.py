"""Pages of organisations: load what was asked for, make one call inwards, draw the answer."""
