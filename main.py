"""The deployable surface: the entry points, and nothing else."""

from functions.direct import credit_refresh
from functions.monitor import credit_refresh_monitor
from functions.queue_builder import credit_refresh_queue
from functions.user_created import credit_refresh_user_created
from functions.worker import credit_refresh_worker

__all__ = [
    "credit_refresh",
    "credit_refresh_monitor",
    "credit_refresh_queue",
    "credit_refresh_user_created",
    "credit_refresh_worker",
]
