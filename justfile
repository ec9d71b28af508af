# The everyday tasks. `just` lists them; each is a script that also runs without just.

_list:
    @just --list

# Runs what a change must pass: format, lints, documents, unit and integration tests
test *args:
    scripts/test {{args}}

# Runs everything: real applications, other gateways, fuzzing, budgets, the container
test-all:
    scripts/test --all

# Runs one step of the tests; `scripts/test --list` names them
step name:
    scripts/test --only {{name}}

# Runs the demo: a service with many faults, and Lockgate in front of it
demo:
    scripts/demo

# Builds the documents as a site, below target/book
docs *args:
    scripts/docs {{args}}

# Writes the generated pages anew: configuration, errors, metrics, JSON Schema
generate:
    scripts/generate

# Makes the pictures of the documents anew
screenshots:
    scripts/screenshots

# Builds the profile-guided binary
pgo:
    scripts/build-pgo

# Compares Lockgate with nginx and HAProxy on this machine, in some forty minutes
bench *args:
    tests/bench/peers {{args}}

# Runs every fuzz target for so many seconds
fuzz seconds="30":
    tests/fuzz/run {{seconds}}
