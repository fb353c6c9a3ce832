"""A double of AWS for tests: moto with its gaps closed, and a proxy in front of it that makes faults."""
