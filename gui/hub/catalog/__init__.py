"""What the Hub offers: search, models, file trees, cards, and what it said before."""
