# shellcheck shell=bash
# How our fields are indexed now, into $STATE/fields.json.

read_fields() {
    local database group path
    plan indexes fields --project="$PROJECT" --environment="$ENVIRONMENT" >"$STATE/fields"
    {
        printf '[null'
        while IFS=$'\t' read -r database group path; do
            ask gcloud firestore indexes fields describe "$path" --collection-group="$group" --database="$database" \
                --project="$PROJECT" --format=json </dev/null >"$STATE/field" || return
            if [[ -s $STATE/field ]]; then
                printf ',' && cat "$STATE/field"
            fi
        done <"$STATE/fields"
        printf ']'
    } >"$STATE/fields.json"
}
