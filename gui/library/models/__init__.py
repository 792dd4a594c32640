"""Models on this disk: which there are, where each came from, whether it is whole, what is left
over, and how one goes.  What has to ask the Hub (updates, repairs) is in `gui.hub`.
"""
