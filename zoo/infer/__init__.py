"""Programs, guides, objectives and estimators."""
