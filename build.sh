#!/usr/bin/env bash
# Everything that this project builds or runs, from any folder. `./build.sh` alone says what there is.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$root"
DOCKER=${DOCKER:-docker}
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_PROGRESS_BAR=off # its output goes to a log
repository=factorization-machines
image_python=3.11 # the Python of the Dockerfile's base image; wheels and the lock are made for it
mxnet_newest=11 # its numpy, 1.23.5, has no wheels for a younger Python than 3.11
torch_version=$(sed -n 's/^torch==//p' docker/requirements.in)
torch_index=${TORCH_INDEX-https://download.pytorch.org/whl/cpu}

usage() {
    cat <<END
usage: ./build.sh COMMAND

  lab [--data DIR] [--backend auto|docker|process]
             run the workshop's lab end to end: train, deploy, predict
  lab --notebook [--data DIR] [--execute]
             the lab as a notebook in JupyterLab, on the local service; --execute runs it whole
  test [ARGS]  lint, types and all tests; ARGS go to pytest
  check      lint, types and unit tests only
  up [--env] [--backend auto|docker|process] [--port N] [--state DIR]
             the local SageMaker service, until Ctrl-C; with --env in the background, and prints
             what a shell evals so that code written for SageMaker runs on it
  down [--state DIR]
             end the service that up --env started
  bench [--data DIR] [--only PART ...] [--repeats N] [--picture FILE] [--soak-seconds N]
             what this machine does, each figure beside its peer's (about nine minutes)
  fuzz [SECONDS]
             hostile bytes for the decoders and the artifact reader, by atheris (300 s)
  setup      make .venv: the package, its tools, CPU torch
  image [--region R] [--all-regions]
             build the container image, with the name that the SDK looks up in R (us-east-1)
  sdk 1|2|3|mxnet|notebook
             make .sdk/vN: a real SageMaker Python SDK in an environment of its own; .sdk/mxnet: the
             mxnet that public code reads models with
  wheels     fill build/wheelhouse with what the image installs
  lock [--upgrade]
             write docker/requirements.lock anew
  clean      remove .venv, .sdk, .bench and build

settings: PYTHON (3.10 or newer), TORCH_INDEX (where the CPU build of torch is; empty: the plain
build, from pip's own sources), DOCKER (the client), BASE_IMAGE (of the container image),
CC (bench's C compiler), LIBFM (libFM's program or a checkout, for bench to measure as well)
END
}

say() { printf '%s\n' "$*"; }
die() { printf 'build.sh: %s\n' "$*" >&2; exit 1; }
misuse() { printf 'build.sh: %s\n' "$*" >&2; exit 2; }

ticker=
stop_ticker() {
    [ -z "$ticker" ] || { kill "$ticker" && wait "$ticker"; } 2>/dev/null || true
    ticker=
}
trap stop_ticker EXIT

# tick LOG: says on standard error, as long as this script lives, what the log's last line is.
tick() {
    local start=$SECONDS seconds last
    # The sleep outlives its parent: it must not hold a pipe open that our caller reads.
    while sleep 1 >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
        seconds=$((SECONDS - start))
        [ -t 2 ] || [ $((seconds % 15)) -eq 14 ] || continue
        last=$(tail -n 1 "$1" | tr '\r' '\n' | tail -n 1 | cut -c 1-90)
        if [ -t 2 ]; then printf '\r\033[K  %d s  %s' $seconds "$last" >&2
        else printf '  %d s  %s\n' $seconds "$last" >&2; fi
    done
}

# logged NAME COMMAND...: a long command with its output in build/log/NAME.log, and a sign of life.
logged() {
    local log=build/log/$1.log status=0
    shift
    mkdir -p build/log
    : >"$log"
    tick "$log" &
    ticker=$!
    "$@" >"$log" 2>&1 </dev/null || status=$?
    stop_ticker
    [ ! -t 2 ] || printf '\r\033[K' >&2
    return $status
}

# reason NAME: the line of a log that says why, and where the rest is.
reason() {
    local log=build/log/$1.log line
    # A container build names the step that failed; the line above it is the step's own last word.
    line=$(awk '/ERROR: (executor|process)|returned a non-zero code/ { print above; exit } NF > 2 { above = $0 }' "$log")
    [ -n "$line" ] || line=$(grep -m 1 '^ERROR' "$log") ||
        line=$(grep -iE 'error|denied|no space|not found' "$log" | tail -n 1) || line=$(tail -n 1 "$log")
    printf '%s (all of it: %s)' "$(say "${line:-no output}" | cut -c 1-300)" "$log"
}

version_of() { "$1" -c 'import platform; print(platform.python_version())' 2>/dev/null; }

# in_range PYTHON MINOR: is it 3.10 up to 3.MINOR?
in_range() {
    "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, int(sys.argv[1]) + 1))' "$2" 2>/dev/null
}

# find_python MINOR: PYTHON where it is set, else the first on PATH from 3.10 up to 3.MINOR.
find_python() {
    local name range="3.10 or newer"
    [ "$1" = 99 ] || range="3.10 to 3.$1"
    if [ -n "${PYTHON:-}" ]; then
        version_of "$PYTHON" >/dev/null || die "PYTHON=$PYTHON cannot be run"
        in_range "$PYTHON" "$1" || die "PYTHON=$PYTHON is Python $(version_of "$PYTHON"); needed: $range"
        say "$PYTHON"
        return
    fi
    for name in python3 python3.13 python3.12 python3.11 python3.10; do
        if in_range "$name" "$1"; then say "$name"; return; fi
    done
    die "no Python $range on PATH; PYTHON=... names one"
}

# current DIR KEY: is the environment whole, made here, for KEY, and with PYTHON where that is set?
# The stamp is written last, so a half-made environment has none.
current() {
    [ "$(cat "$1/.stamp" 2>/dev/null)" = "$root $2" ] && "$1/bin/python" -c '' 2>/dev/null || return 1
    [ -z "${PYTHON:-}" ] || [ "$(version_of "$1/bin/python")" = "$(version_of "$PYTHON")" ]
}

# new_env DIR MINOR [NOTE]: an empty environment of a Python up to 3.MINOR.
new_env() {
    local python
    python=$(find_python "$2")
    [ -z "${3:-}" ] || say "Making $1 with Python $(version_of "$python") ($3)"
    rm -rf "$1"
    logged venv "$python" -m venv "$1" ||
        die "$python -m venv failed (on Debian and Ubuntu it is the package python3-venv): $(reason venv)"
}

install_torch() {
    local want=(--extra-index-url "$torch_index" --timeout 20 --retries 1 "torch==$torch_version+cpu")
    # macOS has one build for all; elsewhere the default one is several GB of CUDA.
    if [ "$(uname)" = Darwin ] || [ -z "$torch_index" ]; then want=("torch==$torch_version"); fi
    logged torch .venv/bin/python -m pip install --no-deps "${want[@]}" ||
        die "torch $torch_version not found for $(.venv/bin/python -V) (TORCH_INDEX=$torch_index): $(reason torch)"
}

setup() {
    local key where=
    key="$(cat pyproject.toml docker/requirements.in | cksum) ${torch_index:+cpu}"
    if current .venv "$key"; then return; fi
    # A whole environment of this place and Python is brought up to date, any other made anew.
    read -r where _ 2>/dev/null <.venv/.stamp || true
    if [ "$where" = "$root" ] && current .venv "$(cut -d ' ' -f 2- .venv/.stamp)"; then
        say "Bringing .venv up to date"
        rm .venv/.stamp
    else
        new_env .venv 99 "about 1.5 GB; the first time takes some minutes"
    fi
    install_torch
    logged setup .venv/bin/python -m pip install -e '.[service,dev]' ||
        die "the dependencies of pyproject.toml could not be installed: $(reason setup)"
    say "$root $key" >.venv/.stamp
}

sdk() {
    local name newest=99 dir key packages
    case ${1:-} in
    1) name=sdk-v1 newest=12 ;; # it needs numpy 1, which has no wheels for a younger Python
    2 | 3) name=sdk-v$1 ;;
    mxnet) name=mxnet newest=$mxnet_newest ;;
    notebook) name=notebook ;;
    *) misuse "sdk '${1:-}': 1, 2, 3, mxnet or notebook" ;;
    esac
    dir=.sdk/${name#sdk-}
    key=$(cksum <"requirements/$name.txt")
    if current "$dir" "$key"; then return; fi
    new_env "$dir" $newest "$(grep -E '^(sagemaker|mxnet)==' "requirements/$name.txt")"
    logged "$name" "$dir/bin/python" -m pip install -r "requirements/$name.txt" ||
        die "requirements/$name.txt could not be installed: $(reason "$name")"
    # local_sagemaker is used there without its dependencies, which the SDK brings or leaves out.
    packages=$("$dir/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    say "$root/src" >"$packages/local_sagemaker.pth"
    say "$root $key" >"$dir/.stamp"
}

engine() { "$DOCKER" version --format '{{.Server.Version}}' >/dev/null 2>&1; }
need_engine() {
    engine || die "no Docker engine answers '$DOCKER version': install or start Docker${1:+; $1}"
}

# tools DIR PACKAGE...: a small environment for one of the commands here.
tools() {
    local dir=$1
    shift
    if current "$dir" "$*"; then return; fi
    new_env "$dir" 99
    if [ $# -gt 0 ]; then
        logged tools "$dir/bin/python" -m pip install "$@" || die "$* could not be installed: $(reason tools)"
    fi
    say "$root $*" >"$dir/.stamp"
}

wheelhouse_state() { cat docker/requirements.in docker/requirements.lock; say "$1"; ls build/wheelhouse; }

wheels() {
    local house=build/wheelhouse arch minor platforms=() wheel name rest
    need_engine
    arch=$("$DOCKER" version --format '{{.Server.Arch}}')
    case $arch in amd64) arch=x86_64 ;; arm64) arch=aarch64 ;; esac
    mkdir -p $house
    if [ "$(cat $house.stamp 2>/dev/null)" = "$(wheelhouse_state "$arch" | cksum)" ]; then return; fi
    say "Filling $house for Python $image_python on $arch (about 300 MB)"
    rm -f $house.stamp
    tools build/pip
    # Every glibc that the image's (2.36) can stand in for, newest first.
    for minor in 35 34 31 28 27 26 24 17; do platforms+=(--platform "manylinux_2_${minor}_$arch"); done
    set -- build/pip/bin/python -m pip download --no-deps --only-binary=:all: --dest $house \
        --python-version $image_python --implementation cp --abi "cp${image_python/./}" --abi abi3 --abi none \
        "${platforms[@]}" --platform "manylinux2014_$arch"
    for wheel in "$house"/*.whl; do
        [ -e "$wheel" ] || continue
        rest=${wheel##*/}
        name=$(say "${rest%%-*}" | tr '[:upper:]_.' '[:lower:]--')
        rest=${rest#*-}
        case $wheel in *-any.whl | *"$arch.whl") ;; *) rm "$wheel"; continue ;; esac
        [ "$name==${rest%%-*}" = "torch==$torch_version+cpu" ] ||
            grep -q "^$name==${rest%%-*} " docker/requirements.lock || rm "$wheel"
    done
    logged wheels "$@" --require-hashes -r docker/requirements.lock ||
        die "docker/requirements.lock could not be fetched for $arch: $(reason wheels)"
    if ! ls "$house/torch-$torch_version+cpu-"* >/dev/null 2>&1; then
        # The image is for CPUs whatever .venv has, so an empty TORCH_INDEX still means the CPU build here.
        logged wheels-torch "$@" ${torch_index:+--extra-index-url "$torch_index"} --timeout 20 --retries 1 \
            "torch==$torch_version+cpu" ||
            die "torch $torch_version+cpu not found (TORCH_INDEX=$torch_index): $(reason wheels-torch)"
    fi
    wheelhouse_state "$arch" | cksum >$house.stamp
}

# registry_names REGION|all: the built-in's image name there, as the SDK's look-up gives it, with no tag.
registry_names() {
    awk -F '\t' -v region="$1" -v name=$repository 'NR > 1 && (region == "all" || region == $1) {
        print $2 ".dkr.ecr." $1 "." $3 "/" name }' src/local_sagemaker/registry_accounts.tsv
}

image() {
    local region=us-east-1 names name tag build
    while [ $# -gt 0 ]; do
        case $1 in
        --region) [ $# -gt 1 ] || misuse "--region needs a region"; region=$2; shift ;;
        --region=*) region=${1#*=} ;;
        --all-regions) region=all ;;
        *) misuse "image: unknown option '$1'; there are --region R and --all-regions" ;;
        esac
        shift
    done
    names=$(registry_names "$region")
    [ -n "$names" ] ||
        misuse "unknown region '$region'; there are$(awk 'NR > 1 { printf " %s", $1 }' src/local_sagemaker/registry_accounts.tsv)"
    need_engine
    wheels
    say "Building $repository:latest"
    build=(build --tag "$repository:latest" --build-arg "VERSION=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)")
    [ -z "${BASE_IMAGE:-}" ] || build+=(--build-arg "BASE_IMAGE=$BASE_IMAGE")
    logged image "$DOCKER" "${build[@]}" . || die "the image could not be built: $(reason image)"
    say "  $repository:latest"
    for name in $names; do
        for tag in latest 1; do
            "$DOCKER" tag "$repository:latest" "$name:$tag"
            say "  $name:$tag"
        done
    done
    "$DOCKER" image inspect --format '{{.Id}} {{.Size}}' "$repository:latest" |
        awk '{ printf "  %s, %.0f MB unpacked\n", substr($1, 1, 19), $2 / 1e6 }'
    "$DOCKER" run --rm --network none "$repository:latest" python -c '
from importlib.metadata import version
from platform import python_version
parts = (f"{name} {version(name)}" for name in ("torch", "numba", "numpy", "scipy"))
print("  Python", ", ".join((python_version(), *parts)))'
}

compose() { "$DOCKER" compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null; }

lab() {
    local backend=auto notebook='' args=()
    while [ $# -gt 0 ]; do
        case $1 in
        --backend) [ $# -gt 1 ] || misuse "--backend needs auto, docker or process"; backend=$2; shift ;;
        --backend=*) backend=${1#*=} ;;
        --notebook) notebook=yes ;;
        *) args+=("$1") ;;
        esac
        shift
    done
    if [ -n "$notebook" ]; then
        setup
        sdk notebook
        exec .venv/bin/python -m local_sagemaker notebook --root "$root" --backend "$backend" ${args[@]+"${args[@]}"}
    fi
    case $backend in
    docker)
        need_engine "--backend process needs none"
        compose || die "--backend docker needs 'docker compose' or docker-compose"
        ;;
    process) ;;
    auto)
        backend=process
        if ! engine; then say "Backend: process, since no Docker engine answers"
        elif ! compose; then say "Backend: process, since there is no docker compose"
        else backend=docker; say "Backend: docker, since an engine answers (--backend process needs none)"; fi
        ;;
    *) misuse "--backend '$backend': auto, docker or process" ;;
    esac
    setup
    sdk 2
    [ "$backend" = process ] || image --region us-east-1
    exec .venv/bin/python -m local_sagemaker lab --backend "$backend" ${args[@]+"${args[@]}"}
}

# Only the lines to eval may be on standard output.
up() {
    setup >&2
    exec .venv/bin/python -m local_sagemaker up --root "$root" "$@"
}

down() { exec .venv/bin/python -m local_sagemaker down --root "$root" "$@"; }

lint() {
    say "ruff"
    .venv/bin/ruff check .
    .venv/bin/ruff format --check .
    say "mypy"
    .venv/bin/mypy
}

run_tests() {
    local n
    # Before all that takes minutes.
    if ! engine && [ -n "${CI:-}" ]; then die "CI is set and no Docker engine answers '$DOCKER version'"; fi
    setup
    lint
    sdk 2
    sdk notebook
    if [ -n "${CI:-}" ] || (find_python $mxnet_newest >/dev/null 2>&1); then sdk mxnet
    else say "No Python 3.10 or 3.11: tests that need mxnet are skipped"; fi
    if engine; then
        for n in 1 3; do sdk $n; done
        image --region us-east-1
    else
        say "No Docker engine answers: tests that need the image or a container are skipped"
    fi
    say "pytest"
    .venv/bin/python -m pytest "$@"
}

check() {
    setup
    lint
    .venv/bin/python -m pytest -q tests/unit
}

bench() {
    setup
    # The SDK is a peer of the decoder; the other peers' environments are made by bench itself.
    sdk 2
    exec .venv/bin/python -m bench "$@"
}

# fuzz SECONDS: two thirds on the decoder, first as Python, whose branches the fuzzer sees, then compiled on
# what was found; a sixth each on the artifact reader and on requests.
fuzz() {
    local seconds=${1:-300} corpus=build/fuzz
    case $seconds in *[!0-9]* | '') misuse "fuzz: SECONDS is a number; got '$seconds'" ;; esac
    setup
    # Not a dependency: it has no wheels for every Python that this project runs on.
    .venv/bin/python -c 'import atheris' 2>/dev/null || logged atheris .venv/bin/python -m pip install --only-binary=:all: atheris ||
        die "atheris could not be installed: $(reason atheris)"
    fuzz_one() { # TARGET SECONDS
        PYTHONPATH=tests .venv/bin/python -m fuzz "$1" "$corpus/$1" -max_total_time="$2" -max_len=512 -timeout=10 \
            -rss_limit_mb=2048 -artifact_prefix="$corpus/" -print_final_stats=1 -verbosity=0 2>"$corpus/$1.log" ||
            { tail -n 30 "$corpus/$1.log" >&2; die "fuzz: $1 failed; the bytes that did it are in $corpus"; }
        say "$1: $(awk '/number_of_executed_units/ { print $2 }' "$corpus/$1.log") executions, nothing found"
    }
    mkdir -p $corpus
    say "The decoder as Python"
    NUMBA_DISABLE_JIT=1 fuzz_one decoder $((seconds / 3))
    say "The decoder, compiled"
    fuzz_one decoder $((seconds / 3))
    fuzz_one model $((seconds / 6))
    fuzz_one requests $((seconds / 6))
}

lock() {
    local out=build/lock/requirements.txt options=()
    case ${1:-} in
    --upgrade) options=(--upgrade) ;;
    '') ;;
    *) misuse "lock: unknown option '$1'; there is --upgrade" ;;
    esac
    say "Resolving docker/requirements.lock for Python $image_python"
    tools build/lock uv
    cp docker/requirements.lock $out 2>/dev/null || true # uv keeps the versions that it finds here
    say "torch ; python_version < '3'" >build/lock/without-torch.txt
    logged lock build/lock/bin/uv pip compile pyproject.toml docker/requirements.in --output-file $out \
        --override build/lock/without-torch.txt --generate-hashes --no-build --no-config --no-header --no-annotate \
        --cache-dir build/lock/cache --python-version $image_python \
        --python-platform x86_64-manylinux_2_28 ${options[@]+"${options[@]}"} || die "$(reason lock)"
    {
        say "# Made by ./build.sh lock from pyproject.toml and requirements.in, for Python $image_python."
        say "# torch is not here: its CPU wheels have other hashes for each platform; requirements.in pins it."
        cat $out
    } >build/lock/new.lock
    mv build/lock/new.lock docker/requirements.lock
    say "  $(grep -c '==' docker/requirements.lock) packages"
}

command=${1:-}
[ $# -eq 0 ] || shift
case $command in
'' | help | -h | --help) usage; exit ;;
setup | wheels | check | clean) [ $# -eq 0 ] || misuse "$command takes no '$1'" ;;
sdk) [ $# -gt 0 ] || misuse "sdk: 1, 2, 3, mxnet or notebook" ;;
esac
case $command in
setup) setup; say ".venv is ready: Python $(version_of .venv/bin/python)" ;;
sdk) for n in "$@"; do sdk "$n"; done ;;
test) run_tests "$@" ;;
lab | up | down | image | wheels | check | fuzz | lock | bench) "$command" "$@" ;;
clean) rm -rf .venv .sdk .bench build ;;
*) misuse "unknown command '$command'; ./build.sh alone says what there is" ;;
esac
