"""Pictures on their way out: other forms, sizes and names, with or without what made them."""
