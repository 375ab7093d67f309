"""Tests of the workflow, and the makers of their data."""
