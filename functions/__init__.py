"""One module for each Cloud Function: a thin adapter from request to service to answer."""

from flask import current_app

from shared.cold_start import without_garbage_collection

with without_garbage_collection():
    from shared.edge.endpoint import start

    start()

if current_app:  # functions-framework imports us inside the app that it makes
    from shared.edge.gateway import protect

    protect(current_app)
