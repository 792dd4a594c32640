"""The networks of a model behind the inputs and outputs that Core ML models have."""
