"""Tasks in which a text may have several labels, or none: one yes/no question per label."""
