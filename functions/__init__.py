"""One module per Cloud Function, each a thin adapter: request → service → answer."""

from shared.edge.endpoint import start

start()
