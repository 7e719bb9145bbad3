"""The sections of docs/results.md, each made from the tables of ``summarise.py``."""
