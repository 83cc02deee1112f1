#!/usr/bin/env bash
# Trains on a Cloud TPU VM with any number of hosts. `keep` creates a new VM if Google takes the VM away.
#
#   export NAME=facades ZONE=us-central2-b TYPE=v4-8 WORKDIR=gs://BUCKET/runs/facades
#   experiments/launch/tpu_vm.sh create     # a spot VM: cheap, but it may be taken away at any time
#   experiments/launch/tpu_vm.sh install    # installs the committed files on all hosts
#   experiments/launch/tpu_vm.sh train      # starts or continues the run, in the background
#   experiments/launch/tpu_vm.sh watch      # the log of the first host; Ctrl-C does not stop the run
#   experiments/launch/tpu_vm.sh run        # starts or continues the run, in the foreground
#   experiments/launch/tpu_vm.sh stop       # the run finishes its step and saves; `keep` ends, too
#   experiments/launch/tpu_vm.sh delete     # deletes the VM
#   experiments/launch/tpu_vm.sh keep       # create, install and run until the run is done; then delete
#
# Flags after `train`, `run` or `keep` go to the run. Without flags, the run trains facades.py.
set -euo pipefail
self=$(realpath "$0")
cd "$(dirname "$self")/../.."

if [ $# = 0 ]; then
    sed -n '2,/^set/s/^# \{0,1\}//p' "$self"
    exit 2
fi
: "${NAME:?is not set; export NAME=facades, the name of the VM}"
: "${ZONE:?is not set; export a zone, such as ZONE=us-central2-b}"
: "${TYPE:?is not set; export a type of TPU, such as TYPE=v4-8}"
: "${WORKDIR:?is not set; export WORKDIR=gs://BUCKET/DIR, in a bucket in the region of the VM}"
VERSION=${VERSION:-tpu-ubuntu2204-base} # later TPUs need other versions, such as v2-alpha-tpuv5-lite

tpu() { gcloud compute tpus tpu-vm "$1" "$NAME" --zone="$ZONE" "${@:2}"; }
on_all_hosts() { tpu ssh --worker=all --command="$1"; }

# The batch is for all chips together, so it must be a multiple of their number.
train_flags=(--config=experiments/facades.py --config.data.batch_size=8 --workdir="$WORKDIR"
    --config.data.data_dir="${WORKDIR%/*}/data")

STOP='pkill -TERM -f "[p]ix2pix_jax train"' # the signal on one host stops the run on all hosts

is_stopped() { tpu ssh --worker=0 --command='test -e pix2pix_jax/stopped'; }

# The command that trains, quoted for the shell of a host. Arguments: more flags.
train_command() {
    echo ".venv/bin/python -m pix2pix_jax train $(printf '%q ' "${train_flags[@]}" "$@")"
}

case $1 in
create) tpu create --accelerator-type="$TYPE" --version="$VERSION" --spot ;;
install)
    package=$(mktemp -d)/pix2pix_jax.tar.gz
    git archive --prefix=pix2pix_jax/ -o "$package" HEAD
    gcloud compute tpus tpu-vm scp "$package" "$NAME": --zone="$ZONE" --worker=all
    on_all_hosts 'tar xzf pix2pix_jax.tar.gz && cd pix2pix_jax &&
        curl -LsSf https://astral.sh/uv/install.sh | sh &&
        ~/.local/bin/uv venv --clear --python 3.12 && ~/.local/bin/uv pip install -e ".[tpu,gcs]"'
    ;;
train)
    on_all_hosts "cd pix2pix_jax &&
        nohup $(train_command "${@:2}") >> train.log 2>&1 < /dev/null &"
    ;;
watch) tpu ssh --worker=0 --command='tail -n 20 -f pix2pix_jax/train.log' ;;
stop) tpu ssh --worker=0 --command="touch pix2pix_jax/stopped; $STOP" ;;
delete) tpu delete --quiet ;;
run) on_all_hosts "cd pix2pix_jax && $(train_command "${@:2}")" ;;
keep)
    "$self" create || true # the VM may exist already
    "$self" install || true
    tpu ssh --worker=0 --command='rm -f pix2pix_jax/stopped'
    failures=0 started=$SECONDS
    until "$self" run "${@:2}"; do
        state=$(tpu describe --format='value(state)' || echo GONE)
        echo "the run has ended on a VM that is $state" >&2
        if [ "$state" = READY ]; then
            if is_stopped; then
                exit 143
            fi
            # If only the connection was lost, the run still trains.
            tpu ssh --worker=0 --command="$STOP" || true
            [ $((SECONDS - started)) -lt 600 ] || failures=0
            failures=$((failures + 1))
            [ $failures -lt 3 ] || exit 1 # the user must fix something
        else
            "$self" delete || true
            "$self" create || true
            "$self" install || true
        fi
        sleep 60
        if is_stopped; then
            exit 143
        fi
        started=$SECONDS
    done
    "$self" delete
    ;;
*) exec "$self" ;; # prints the commands
esac
