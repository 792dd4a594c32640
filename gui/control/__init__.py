"""Control pictures made of ordinary ones in a child process, to be looked at beforehand."""
