"""The edge: HTTP in and out, and what belongs to an instance: settings, connection, signals."""
