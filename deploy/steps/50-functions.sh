#!/usr/bin/env bash
# The functions of functions.toml, side by side. One whose source, settings and flags are unchanged is left alone.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

read_functions
gcloud meta list-files-for-upload "$ROOT" >"$STATE/upload"
plan functions plan --project="$PROJECT" --region="$REGION" --database-location="$DATABASE_LOCATION" \
    --existing="$STATE/functions.json" --upload-list="$STATE/upload" --environment="$ENVIRONMENT" >"$STATE/plan"

if [[ -n $DRY_RUN ]]; then
    run_plan "$STATE/plan"
    exit
fi

# Of accounts that were just made, and of Eventarc where it is used for the first time.
LATE='does not exist|Eventarc Service Agent'

pids=() names=()
while IFS=$'\t' read -r -a words; do
    run_patiently "$LATE" "${words[@]}" --format=none >"$STATE/deploy.${words[3]}" 2>&1 </dev/null &
    pids+=("$!") names+=("${words[3]}")
    show "${words[@]}"
done <"$STATE/plan"

((${#pids[@]} == 0)) || say "deploying, which takes some minutes …"

failed=()
for index in "${!pids[@]}"; do
    if wait "${pids[index]}"; then
        say "${names[index]}: deployed"
    else
        failed+=("${names[index]}")
        cat "$STATE/deploy.${names[index]}" >&2
    fi
done
((${#failed[@]} == 0)) || die "not deployed: ${failed[*]}; $(grep -hm1 ERROR "$STATE/deploy.${failed[0]}" || true)"
