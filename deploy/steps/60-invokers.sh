#!/usr/bin/env bash
# The invoker may call the private functions, each by a binding of its own; nobody else may.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

member="serviceAccount:$(account invoker)"
plan names --private >"$STATE/private"
while read -r name; do
    held="$(ask gcloud run services get-iam-policy "$name" --region="$REGION" --project="$PROJECT" \
        --flatten='bindings[].members' --format='value[separator=" "](bindings.members, bindings.role)' </dev/null)"
    if ! grep -qxF "$member roles/run.invoker" <<<"$held"; then
        run_patiently 'does not exist' gcloud run services add-iam-policy-binding "$name" --region="$REGION" --project="$PROJECT" \
            --member="$member" --role=roles/run.invoker --format=none </dev/null
    fi
    if grep -qE '^all(Authenticated)?Users ' <<<"$held"; then
        die "$name is open to everybody; close it: gcloud run services remove-iam-policy-binding $name" \
            "--region=$REGION --project=$PROJECT --member=allUsers --role=roles/run.invoker"
    fi
done <"$STATE/private"
