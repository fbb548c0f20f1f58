"""The monitor: its API and page, sign-in, health, statistics, one user's history, and what operators do."""
