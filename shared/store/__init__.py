"""The store: the only code that knows Firestore. It raises the errors of `shared.core.errors` and no others."""
