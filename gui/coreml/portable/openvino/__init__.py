"""OpenVINO as the portable runtime's second way of computing.

`lowering` makes a function's plan with weights as they are stored; `segments` turns runs of its
torch calls into compiled segments by the translations in `calls`, over `graph`; `staging` is where
weights stand meanwhile.  `library` is the package itself, `check` whether it can be trusted.
"""
