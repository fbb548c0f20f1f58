"""The pure part: plans, periods, stagger, decisions and job transitions. No I/O, no clock."""
