"""Preprocessing of micro-expression clips: pure functions on arrays and tables.

Coordinates are in pixels with pixel centres at whole numbers, x to the right and y down.
"""
