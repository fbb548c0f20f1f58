#!/usr/bin/env bash
# Checks a deployment from outside: who may call the functions, whether the trigger exists, and one scheduled call.
set -euo pipefail

USAGE='usage: deploy/smoke.sh PROJECT_ID [--region REGION] [--folder FOLDER] [--env-file FILE]'

# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

option() { usage_error "unknown option $1"; }

parse "$@"
begin
JOB="${SMOKE_JOB:-$SLUG-worker}" # calling the worker does no harm, it does only what is due
WAIT_SECONDS_MAX="${SMOKE_WAIT_SECONDS_MAX:-330}"
EVERY_SECONDS="${SMOKE_EVERY_SECONDS:-5}"
problems=0

check() {
    local what="$1" expected="$2" found="$3"
    if [[ $found == "$expected" ]]; then
        say "ok      $what: $found"
    else
        say "FAILED  $what: $found instead of $expected"
        problems=$((problems + 1))
    fi
}

status_of() {
    curl --silent --output /dev/null --max-time 60 --write-out '%{http_code}' "$@" || true
}

# Print one field of one of our functions, from the file that the deployment has read.
field() {
    "$PYTHON" - "$STATE/functions.json" "$1" "$2" <<'END'
import json, sys
file, name, path = sys.argv[1:]
found = [each for each in json.load(open(file)) if each["name"].rpartition("/")[2] == name]
for key in path.split("."):
    found = [each[key] for each in found if key in each]
print(found[0] if found else "")
END
}

plan names --setup="$STATE/setup.json" --private >"$STATE/private"
while read -r name; do
    uri="$(field "$name" serviceConfig.uri)"
    check "$name to a stranger" 403 "$(status_of --request POST --data '{}' "$uri")"
done <"$STATE/private"

uri="$(field "$SLUG-monitor" serviceConfig.uri)"
check "the monitor to a stranger" 401 "$(status_of --header 'Accept: application/json' "$uri")"
check "the monitor to a made-up token" 401 \
    "$(status_of --header 'Accept: application/json' --header 'Authorization: Bearer made.up.token' "$uri")"

# Only a document in the users' collection fires the trigger, and no test document is made there. So this checks no more
# than that Eventarc has the trigger.
trigger="$(field "$SLUG-user-created" eventTrigger.trigger)"
check "the trigger of $SLUG-user-created" "is there" "$(
    [[ -n $trigger && -n "$(ask gcloud eventarc triggers describe "$trigger" --project="$PROJECT" --format='value(name)')" ]] &&
        echo "is there" || echo "is not there"
)"
say "        whether it fires was not tried; that needs a new user. docs/deploy.md says how to make one."

# The scheduler's answer can't be used here. It does not say which attempt it is about, and its code is -1 while the call
# goes on. The function's log says when each call began and how it ended.
began="$(date -u +%Y-%m-%dT%H:%M:%S+00:00)"
gcloud scheduler jobs run "$JOB" --location="$REGION" --project="$PROJECT" --format=none
ended=""
for ((waited = 0; waited <= WAIT_SECONDS_MAX; waited += EVERY_SECONDS)); do
    gcloud logging read "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"$SLUG-worker\" \
AND timestamp>=\"${began/+00:00/Z}\" AND jsonPayload.action:*" --project="$PROJECT" --format=json >"$STATE/entries.json"
    ended="$(plan smoke --entries="$STATE/entries.json" --action=credit_refresh_worker --began="$began")"
    [[ -z $ended ]] || break
    sleep "$EVERY_SECONDS"
done
check "a scheduled run of $JOB" success "${ended:-no answer in the log after $WAIT_SECONDS_MAX s}"
say "        The heartbeat alert works from this first call on."

((problems == 0)) || die "$problems checks failed"
say "All checks passed."
