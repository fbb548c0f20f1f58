"""One module per Cloud Function, each a thin adapter: request → service → answer."""

from shared.cold_start import uncollected

with uncollected():
    from shared.edge.endpoint import start

    start()
