"""What the functions share: the pure core, the store (the only code that knows Firestore), services, edge, monitor."""
