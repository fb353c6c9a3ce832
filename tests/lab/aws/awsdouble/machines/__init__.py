"""Instances as virtual machines of this computer."""
