"""Runs the tests that need no machines, or those that are named."""

import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).parent
names = [name if "." in name else f"awsdouble.tests.{name}" for name in sys.argv[1:]]
if not names:
    names = [f"awsdouble.tests.{file.stem}" for file in sorted(HERE.glob("test_*.py"))]
unittest.main(module=None, argv=["selftest", *names])
