"""What marks in a prompt mean: weights, breaks, and words that come and go from step to step.

Standard library only, and nothing of models: `types` says what a prompt becomes, `reading` makes
it.
"""
