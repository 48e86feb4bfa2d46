"""Runs: an experiment, its data, its system and a folder."""
