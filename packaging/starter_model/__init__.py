"""Recipe of the starter model: data, training, conversion and evaluation."""
