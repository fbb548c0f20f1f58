# shellcheck shell=bash
# Write the fields with their own indexes or TTL into $STATE/fields.json and ttls.json.

read_fields() {
    ask_into fields.json gcloud firestore indexes fields list --database="$DATABASE" --project="$PROJECT" --format=json
    ask_into ttls.json gcloud firestore fields ttls list --database="$DATABASE" --project="$PROJECT" --format=json
    wait_for_answers
}
