"""How autoregressive flows are inverted: element after element, or all at once until they stand still."""
