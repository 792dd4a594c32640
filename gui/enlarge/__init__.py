"""Pictures that exist, enlarged in a child process of their own, beside pictures being made."""
