"""What every room is made of: controls, icons, colours, questions."""
