"""Networks that tell flows their parameters; each is called with x and a context or None."""
