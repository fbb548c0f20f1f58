#!/usr/bin/env bash
# Enables the services that the functions and their builds need.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

NEEDED=(
    artifactregistry cloudbuild cloudfunctions cloudresourcemanager cloudscheduler eventarc firestore iam
    identitytoolkit logging monitoring pubsub run
)

enabled="$(ask gcloud services list --enabled --project="$PROJECT" --format='value(config.name)')"
missing=()
for api in "${NEEDED[@]}"; do
    grep -qx "$api.googleapis.com" <<<"$enabled" || missing+=("$api.googleapis.com")
done
if ((${#missing[@]})); then
    run gcloud services enable "${missing[@]}" --project="$PROJECT"
else
    say "all are enabled"
fi
