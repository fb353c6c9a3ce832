"""What the doubles of clouds have in common: faults, a front that makes them and keeps a log, machines."""
