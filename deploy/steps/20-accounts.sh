#!/usr/bin/env bash
# The service accounts of accounts.sh, and their roles in the project.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
source "$ROOT/deploy/accounts.sh"

# The list forgets accounts made within the last minute; to ask for one that isn't there answers 403 as well as 404.
exists() {
    grep -qxF "$1" <<<"$there" || gcloud iam service-accounts describe "$1" --project="$PROJECT" --format=none 2>/dev/null
}

there="$(gcloud iam service-accounts list --project="$PROJECT" --format='value(email)')"
for row in "${ACCOUNTS[@]}"; do
    if ! exists "$(account "${row%%:*}")"; then
        run gcloud iam service-accounts create "credit-refresh-${row%%:*}" --project="$PROJECT" \
            --display-name="${row#*:}"
    fi
done

held=""
if [[ -n $DRY_RUN ]]; then
    say "To read who has which role is a POST, and a dry run makes none. Those of these that are missing:"
else
    held="$(gcloud projects get-iam-policy "$PROJECT" --flatten='bindings[].members' \
        --format='value[separator=" "](bindings.members, bindings.role)')"
fi
for row in "${ROLES[@]}"; do
    member="serviceAccount:$(account "${row%%:*}")"
    if ! grep -qxF "$member ${row#*:}" <<<"$held"; then
        run_patiently 'does not exist' gcloud projects add-iam-policy-binding "$PROJECT" --member="$member" --role="${row#*:}" \
            --condition=None --format=none
    fi
done
