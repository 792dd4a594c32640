"""The queue as a person works with it: as rows, and as what can be done with them."""
