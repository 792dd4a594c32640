"""`sfumato`: the commands, on the same services as the window."""
