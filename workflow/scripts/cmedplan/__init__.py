"""What is known of a data set before any job runs.

The Snakefile plans with this package and jobs read the same plan from it, so that both
see the same clips. It needs the standard library and `jsonschema` alone: parsing a
workflow must stay fast, and every remote job parses it again.
"""
