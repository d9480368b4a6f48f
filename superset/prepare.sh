#!/bin/sh
# Brings Superset's metadata up to date, makes the user admin where there is none, and imports the bundle.
set -eu
cd "$(dirname "$0")"
superset db upgrade
superset fab create-admin --username admin --firstname HFC --lastname Admin --email admin@localhost \
    --password "$SUPERSET_ADMIN_PASSWORD"
superset init
superset import-directory --overwrite bundle
