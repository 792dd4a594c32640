"""Files that nobody would write, put before everything that reads files from outside.

`python -m tests.fuzz --seconds 600` (or ``make fuzz``) goes on for a while; `test_fuzz` runs a
small share with fixed seeds.  A reader may refuse what it is given with a `SfumatoError`, or make
something of it; any other exception, and a long wait, is a fault of ours.
"""
