"""Makers of test data whose truth is known."""
