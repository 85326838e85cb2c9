"""Validates instances against JSON Schemas: a list of {name, schema, instance} on standard input, a mapping from name to
the messages on standard output."""

import json
import sys

from jsonschema import Draft202012Validator

given = json.load(sys.stdin)
validators = {}
for name, schema in given["schemas"].items():
    Draft202012Validator.check_schema(schema)
    validators[name] = Draft202012Validator(schema)
found = {}
for case in given["cases"]:
    errors = validators[case["schema"]].iter_errors(case["instance"])
    found[case["name"]] = [f"{error.json_path}: {error.message[:160]}" for error in errors]
json.dump(found, sys.stdout)
