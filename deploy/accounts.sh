# shellcheck shell=bash disable=SC2034
# The service accounts, and what each may do in the project. No keys are made of any of them.

ACCOUNTS=(
    "runtime:Credit Refresh, the functions"
    "monitor:Credit Refresh, the monitor"
    "invoker:Credit Refresh, whoever calls the functions"
    "build:Credit Refresh, builds of the functions"
)

# The invoker may also call each private function: steps/60-invokers.sh. A monitor has to ask Firebase whether a token
# was revoked (firebaseauth.users.get), which the functions that write balances have no business with.
ROLES=(
    "runtime:roles/datastore.user"
    "monitor:roles/datastore.user"
    "monitor:roles/firebaseauth.viewer"
    "invoker:roles/eventarc.eventReceiver"
    "build:roles/artifactregistry.writer"
    "build:roles/logging.logWriter"
    "build:roles/storage.objectViewer"
)
