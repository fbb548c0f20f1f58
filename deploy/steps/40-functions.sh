#!/usr/bin/env bash
# The functions of functions.toml, side by side. One whose source, settings and flags are unchanged is left alone.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

gcloud functions list --v2 --regions="$REGION" --project="$PROJECT" --format=json >"$STATE/functions.json"
gcloud meta list-files-for-upload "$ROOT" >"$STATE/upload"
plan functions --project="$PROJECT" --region="$REGION" --database-location="$DATABASE_LOCATION" \
    --existing="$STATE/functions.json" --upload-list="$STATE/upload" --environment="$ENVIRONMENT" >"$STATE/plan"

if [[ -n $DRY_RUN ]]; then
    run_plan "$STATE/plan"
    exit
fi

pids=() names=()
while IFS=$'\t' read -r -a words; do
    run "${words[@]}" --format=none >"$STATE/deploy.${words[3]}" 2>&1 </dev/null &
    pids+=("$!") names+=("${words[3]}")
    say "${words[3]}: deploying, which takes some minutes"
done <"$STATE/plan"

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
