"""Published protocols: what a publication states, what the same protocol gives here, and whether the two agree."""
