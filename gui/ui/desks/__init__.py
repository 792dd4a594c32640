"""What ties the window's parts together: a desk for each thing a person does.

A desk is a small class that is given the window's `Parts`, makes what it needs besides them,
connects its commands, and does them.  The workspace puts it among the others in one line.
"""
