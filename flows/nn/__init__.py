"""Conditioner networks: each is called with x and a context, or None, and returns a flow's parameters."""
