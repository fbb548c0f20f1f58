#!/usr/bin/env bash
# The service accounts of accounts.sh, and their roles in the project.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
source "$ROOT/deploy/accounts.sh"

there="$(gcloud iam service-accounts list --project="$PROJECT" --format='value(email)')"
for row in "${ACCOUNTS[@]}"; do
    if ! grep -qxF "$(account "${row%%:*}")" <<<"$there"; then
        run gcloud iam service-accounts create "credit-refresh-${row%%:*}" --project="$PROJECT" \
            --display-name="${row#*:}"
    fi
done

# To read the policy is a POST, and a dry run makes none: it prints all of them.
held=""
if [[ -z $DRY_RUN ]]; then
    held="$(gcloud projects get-iam-policy "$PROJECT" --flatten='bindings[].members' \
        --format='value[separator=" "](bindings.members, bindings.role)')"
fi
for row in "${ROLES[@]}"; do
    member="serviceAccount:$(account "${row%%:*}")"
    if ! grep -qxF "$member ${row#*:}" <<<"$held"; then
        run_patiently gcloud projects add-iam-policy-binding "$PROJECT" --member="$member" --role="${row#*:}" \
            --condition=None --format=none
    fi
done
