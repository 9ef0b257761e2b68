#!/bin/sh
# Drives the open workflow with nothing but curl: reads a field, sets it, runs, and fetches the picture.
#
#     sh curl.sh Canvas.width 640 picture.png
set -eu
url="${COMFYUI_URL:-http://127.0.0.1:8188}"
path=$1 value=$2 picture=$3

# Every command is a POST of a JSON object; with a token set, add -H "Authorization: Bearer $UIAPI_TOKEN".
ask() {
  curl --silent --show-error --fail-with-body "$url/uiapi/$1" --header 'Content-Type: application/json' --data "$2"
}

ask get_fields "{\"fields\": [\"$path\"]}"
echo
ask set_fields "{\"fields\": [[\"$path\", $value]]}"
echo
# The answer of `run` names each file by the url that ComfyUI serves it under.
file=$(ask run '{}' | sed 's/.*"url":"\([^"]*\)".*/\1/')
curl --silent --show-error --fail "$url$file" --output "$picture"
echo "$picture"
