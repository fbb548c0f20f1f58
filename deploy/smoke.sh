#!/usr/bin/env bash
# Checks a deployment from outside: who is let in, and whether one scheduled run succeeds.
set -euo pipefail

USAGE='usage: deploy/smoke.sh PROJECT_ID [--region REGION] [--env-file FILE]'

# shellcheck source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

option() { usage_error "what is $1?"; }

parse "$@"
begin
JOB="${SMOKE_JOB:-credit-refresh-worker}" # of the schedule; the worker does at most what is due anyway
WAIT_SECONDS_MAX="${SMOKE_WAIT_SECONDS_MAX:-330}"
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

address() {
    gcloud functions describe "$1" --gen2 --region="$REGION" --project="$PROJECT" --format='value(serviceConfig.uri)'
}

plan names --private >"$STATE/private"
while read -r name; do
    uri="$(address "$name" </dev/null)"
    check "$name to a stranger" 403 "$(status_of --request POST --data '{}' "$uri")"
done <"$STATE/private"

uri="$(address credit-refresh-monitor)"
check "the monitor to a stranger" 401 "$(status_of --header 'Accept: application/json' "$uri")"
check "the monitor to a made-up token" 401 \
    "$(status_of --header 'Accept: application/json' --header 'Authorization: Bearer made.up.token' "$uri")"

# A run by hand is an attempt like any other: the job tells when it was made and how it ended.
last() {
    gcloud scheduler jobs describe "$JOB" --location="$REGION" --project="$PROJECT" \
        --format='value[separator=" "](lastAttemptTime, status.code)'
}
before="$(last)"
gcloud scheduler jobs run "$JOB" --location="$REGION" --project="$PROJECT" --format=none
ended="not heard of after $WAIT_SECONDS_MAX s"
for ((waited = 0; waited <= WAIT_SECONDS_MAX; waited += 5)); do
    now="$(last)"
    if [[ ${now%% *} != "${before%% *}" ]]; then
        code="${now#* }"
        [[ $code == "$now" ]] && code=""
        ended="$([[ -z $code || $code == 0 ]] && echo success || echo "failure (code $code)")"
        break
    fi
    sleep 5
done
check "a scheduled run of $JOB" success "$ended"

((problems == 0)) || die "$problems checks failed"
say "All is well."
