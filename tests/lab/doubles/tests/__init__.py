"""Tests of what the doubles share."""
