#!/usr/bin/env bash
# Compare assemblies with what is deployed, and print the differences as Markdown:
#     scripts/diff.sh .build/assembly/dev/*
# Templates are compared by this machine: a change set would take a role that may create one.
set -euo pipefail
cd "$(dirname "$0")/.."

for assembly in "$@"; do
	echo "## $(basename "$(dirname "$assembly")"): $(basename "$assembly")"
	echo
	echo '````text'
	node_modules/.bin/cdk diff --app "$assembly" --method template --ci --no-color --no-notices |
		# The role reads templates and nothing else: the CDK's for lookups is not given to it.
		sed '/lookup-role/d'
	echo '````'
done
