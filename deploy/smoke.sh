#!/usr/bin/env bash
# Checks a deployment from outside: who is let in, whether one scheduled run succeeds, whether the trigger is there.
set -euo pipefail

USAGE='usage: deploy/smoke.sh PROJECT_ID [--region REGION] [--folder FOLDER] [--env-file FILE]'

# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

option() { usage_error "what is $1?"; }

parse "$@"
begin
JOB="${SMOKE_JOB:-$SLUG-worker}" # of the schedule; the worker does at most what is due anyway
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

# One field of one of our functions, as the deployment has read them.
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

# A document that fires the trigger has to be in the users' collection, where none is made for a test. What can be looked
# at is whether Eventarc has the trigger, and finds nothing wrong with it.
trigger="$(field "$SLUG-user-created" eventTrigger.trigger)"
check "the trigger of $SLUG-user-created" "is there" "$(
    [[ -n $trigger && -n "$(ask gcloud eventarc triggers describe "$trigger" --project="$PROJECT" --format='value(name)')" ]] &&
        echo "is there" || echo "is not there"
)"
say "        that it fires is not tried: only a new user would tell. docs/deploy.md has how to make one."

# Of a run by hand the scheduler tells neither which attempt it was nor, while it goes on, how it ended (the code is -1
# until then). The function's log does: each call writes when it began.
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
check "a scheduled run of $JOB" success "${ended:-not heard of after $WAIT_SECONDS_MAX s}"
say "        The heartbeat alert can see a silence only after this first run."

((problems == 0)) || die "$problems checks failed"
say "All is well."
