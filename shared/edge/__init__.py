"""The edge: HTTP in and out, the settings of the instance, its signals."""
