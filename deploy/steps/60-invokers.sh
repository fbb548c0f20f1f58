#!/usr/bin/env bash
# Who may call which function, each by a binding of its own; the monitor lets everybody in and asks who it is itself.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

plan names --setup="$STATE/setup.json" >"$STATE/names"
while read -r name; do
    ask_into "policy.$name" gcloud run services get-iam-policy "$name" --region="$REGION" --project="$PROJECT" --format=json
done <"$STATE/names"
ask_into services.json gcloud run services list --region="$REGION" --project="$PROJECT" --format=json
answers
plan invokers --state="$STATE" --region="$REGION" >"$STATE/plan"

# Where an organisation lets nobody from outside in, a service can still be told not to ask: it asks itself.
FORBIDDEN='do not belong to a permitted customer|organization policy'
while IFS=$'\t' read -r -a words; do
    run_patiently "$LATE" "${words[@]}" </dev/null 2>"$STATE/refused" || {
        cat "$STATE/refused" >&2
        [[ " ${words[*]} " == *" --member=allUsers "* ]] && grep -qE "$FORBIDDEN" "$STATE/refused" || exit 1
        say "An organisation policy forbids allUsers; ${words[4]} is told not to ask for the invoker role instead:"
        run gcloud run services update "${words[4]}" --no-invoker-iam-check --region="$REGION" --project="$PROJECT" \
            --format=none --quiet </dev/null
    }
done <"$STATE/plan"
[[ -s $STATE/plan ]] || say "all are as they should be"
