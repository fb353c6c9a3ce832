"""Checks of the double itself."""
