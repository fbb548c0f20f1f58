"""Measured side by side: this project, what people would use instead, and the ceiling. Run by `make bench`."""
