"""How fast each compute unit runs a model here: tried in a process of its own, which may crash."""
