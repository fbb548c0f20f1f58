# shellcheck shell=bash
# How our fields are indexed now, into $STATE/fields.json.

read_fields() {
    local database group path pid pids=()
    plan indexes fields --project="$PROJECT" --environment="$ENVIRONMENT" >"$STATE/fields"
    while IFS=$'\t' read -r database group path; do
        ask gcloud firestore indexes fields describe "$path" --collection-group="$group" --database="$database" \
            --project="$PROJECT" --format=json >"$STATE/field.${#pids[@]}" </dev/null &
        pids+=("$!")
    done <"$STATE/fields"
    for pid in "${pids[@]}"; do
        wait "$pid"
    done
    as_list "$STATE"/field.* >"$STATE/fields.json"
}
