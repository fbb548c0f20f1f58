"""The core: plans, periods, stagger, decisions and job transitions. Pure functions and values: no I/O, no clock."""
