# shellcheck shell=bash
# Write the existing dashboards, alerts, channels and uptime checks into $STATE.

read_monitoring() {
    ask_into dashboards.json gcloud monitoring dashboards list --project="$PROJECT" --format=json
    ask_into alerts.json gcloud alpha monitoring policies list --project="$PROJECT" --format=json
    ask_into uptime.json gcloud monitoring uptime list-configs --project="$PROJECT" --format=json
    read_channels
    wait_for_answers
}

read_channels() {
    ask_into channels.json gcloud alpha monitoring channels list --project="$PROJECT" --format=json
}
