"""Speed and memory against plain use of the same libraries, as ratios within one run."""
