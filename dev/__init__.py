"""For developers: the emulator, the demo, a local server. Nothing here is deployed."""
