#!/bin/sh
# Drives the open workflow with curl: reads a field, sets it, runs the workflow and downloads the picture.
#
# Usage:
#     sh curl.sh Canvas.width 640 picture.png
set -eu
[ $# -eq 3 ] || { echo "Usage: sh curl.sh PATH VALUE PICTURE, such as Canvas.width 640 picture.png" >&2; exit 1; }
url="${COMFYUI_URL:-http://127.0.0.1:8188}"
url="${url%/}"
path=$1 value=$2 picture=$3

# The token is passed through a pipe, since every user of the machine can read command lines.
fetch() {
  printf '%s' "${UIAPI_TOKEN:+header = \"Authorization: Bearer $UIAPI_TOKEN\"}" |
    curl --config - --silent --show-error "$@"
}

# Every command is a POST of a JSON object.
ask() {
  fetch --fail-with-body "$url/uiapi/$1" --header 'Content-Type: application/json' --data "$2"
}

ask get_fields "{\"fields\": [\"$path\"]}"
echo
ask set_fields "{\"fields\": [[\"$path\", $value]]}"
echo
# The response of `run` contains the URL of each file at ComfyUI.
done=$(ask run '{}') || { echo "$done" >&2; exit 1; }
file=$(echo "$done" | sed -n 's/.*"url": *"\([^"]*\)".*/\1/p')
[ -n "$file" ] || { echo "The run made no file; add a SaveImage node." >&2; exit 1; }
fetch --fail "$url$file" --output "$picture"
echo "$picture"
