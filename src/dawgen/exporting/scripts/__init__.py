"""Scripts that are copied into exports as ``predict.py``; none of them needs dawgen."""
