"""Runs all checks, or those that are named."""

import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).parent
names = [name if "." in name else f"dodouble.tests.{name}" for name in sys.argv[1:]]
if not names:
    names = [f"dodouble.tests.{file.stem}" for file in sorted(HERE.glob("test_*.py"))]
unittest.main(module=None, argv=["selftest", *names])
