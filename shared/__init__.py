"""What the functions share: a pure core, a store that alone knows Firestore, services, and the edge."""
