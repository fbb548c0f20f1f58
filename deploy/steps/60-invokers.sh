#!/usr/bin/env bash
# Lets callers call the functions. Everybody may call the monitor, which checks tokens itself.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

plan names --setup="$STATE/setup.json" >"$STATE/names"
while read -r name; do
    ask_into "policy.$name" gcloud run services get-iam-policy "$name" --region="$REGION" --project="$PROJECT" --format=json
done <"$STATE/names"
ask_into services.json gcloud run services list --region="$REGION" --project="$PROJECT" --format=json
wait_for_answers
plan invokers --state="$STATE" --region="$REGION" >"$STATE/plan"

# An organisation policy may forbid allUsers. Then Cloud Run's check is turned off for the monitor instead.
FORBIDDEN='do not belong to a permitted customer|organization policy'
while IFS=$'\t' read -r -a words; do
    run_patiently "$LATE" "${words[@]}" </dev/null 2>"$STATE/refused" || {
        cat "$STATE/refused" >&2
        [[ " ${words[*]} " == *" --member=allUsers "* ]] && grep -qE "$FORBIDDEN" "$STATE/refused" || exit 1
        say "An organisation policy forbids allUsers; the invoker check of ${words[4]} is turned off instead:"
        run gcloud run services update "${words[4]}" --no-invoker-iam-check --region="$REGION" --project="$PROJECT" \
            --format=none --quiet </dev/null
    }
done <"$STATE/plan"
[[ -s $STATE/plan ]] || say "all callers are as they should be"
