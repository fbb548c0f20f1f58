# shellcheck shell=bash
# How our fields are indexed now, into $STATE/fields.json.

read_fields() {
    local database group path number=0
    plan indexes fields --state="$STATE" >"$STATE/fields"
    while IFS=$'\t' read -r database group path; do
        ask_into "field.$((number++))" gcloud firestore indexes fields describe "$path" --collection-group="$group" \
            --database="$database" --project="$PROJECT" --format=json
    done <"$STATE/fields"
    answers
    as_list "$STATE"/field.* >"$STATE/fields.json"
}
