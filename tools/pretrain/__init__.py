"""Pre-training of the embedded backbone ``dawgen/tiny``: conversion, mixture, loop, evaluation."""
