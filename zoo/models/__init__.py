"""The systems, one file each: the paper's factorisation, then the model and its guide."""
