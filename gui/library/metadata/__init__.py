"""What pictures say of themselves: taken out of every container, and read for every program."""
