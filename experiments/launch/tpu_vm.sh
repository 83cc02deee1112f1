#!/usr/bin/env bash
# Trains on a Cloud TPU VM with any number of hosts, and creates a new VM when it is taken away.
#
#   export NAME=facades ZONE=us-central2-b TYPE=v4-8 WORKDIR=gs://BUCKET/runs/facades
#   experiments/launch/tpu_vm.sh create     # a spot VM, which is cheap and may be taken away at any time
#   experiments/launch/tpu_vm.sh install    # the committed files and JAX for TPU, on all hosts
#   experiments/launch/tpu_vm.sh train      # in the background; the same command continues a run
#   experiments/launch/tpu_vm.sh watch      # the log of the first host; Ctrl-C stops only watching
#   experiments/launch/tpu_vm.sh run        # like train, but in the foreground
#   experiments/launch/tpu_vm.sh stop       # finishes the step and saves; also ends `keep`
#   experiments/launch/tpu_vm.sh delete
#   experiments/launch/tpu_vm.sh keep       # create, install, run; again until the run is done; delete
#
# Flags after `train`, `run` or `keep` go to the run. By default, it trains the paper's facades.
set -euo pipefail
self=$(realpath "$0")
cd "$(dirname "$self")/../.."

if [ $# = 0 ]; then
    sed -n '2,/^set/s/^# \{0,1\}//p' "$self"
    exit 2
fi
: "${NAME:?is the name of the VM}" "${ZONE:?is like us-central2-b}" "${TYPE:?is like v4-8}"
: "${WORKDIR:?is like gs://BUCKET/runs/facades, a bucket in the region of the VM}"
VERSION=${VERSION:-tpu-ubuntu2204-base} # later TPUs need others, such as v2-alpha-tpuv5-lite

tpu() { gcloud compute tpus tpu-vm "$1" "$NAME" --zone="$ZONE" "${@:2}"; }
everywhere() { tpu ssh --worker=all --command="$1"; }

# The batch is shared by all chips together; it must be a multiple of their number.
run=(--config=experiments/facades.py --config.data.batch_size=8 --workdir="$WORKDIR"
    --config.data.data_dir="${WORKDIR%/*}/data")

STOP='pkill -TERM -f "[p]ix2pix_jax train"' # sent on one host, it stops all

stopped() { tpu ssh --worker=0 --command='test -e pix2pix_jax/stopped'; }

# Quotes words for another shell.
quoted() { printf '%q ' "$@"; }

case $1 in
create) tpu create --accelerator-type="$TYPE" --version="$VERSION" --spot ;;
install)
    package=$(mktemp -d)/pix2pix_jax.tar.gz
    git archive --prefix=pix2pix_jax/ -o "$package" HEAD
    gcloud compute tpus tpu-vm scp "$package" "$NAME": --zone="$ZONE" --worker=all
    everywhere 'tar xzf pix2pix_jax.tar.gz && cd pix2pix_jax &&
        curl -LsSf https://astral.sh/uv/install.sh | sh &&
        ~/.local/bin/uv venv --clear --python 3.12 && ~/.local/bin/uv pip install -e ".[tpu,gcs]"'
    ;;
train)
    everywhere "cd pix2pix_jax && nohup .venv/bin/python -m pix2pix_jax train $(quoted "${run[@]}" \
        "${@:2}") >> train.log 2>&1 < /dev/null &"
    ;;
watch) tpu ssh --worker=0 --command='tail -n 20 -f pix2pix_jax/train.log' ;;
stop) tpu ssh --worker=0 --command="touch pix2pix_jax/stopped; $STOP" ;;
delete) tpu delete --quiet ;;
run) everywhere "cd pix2pix_jax && .venv/bin/python -m pix2pix_jax train $(quoted "${run[@]}" "${@:2}")" ;;
keep)
    "$self" create || true # the VM may exist already
    "$self" install || true
    tpu ssh --worker=0 --command='rm -f pix2pix_jax/stopped'
    failed=0 began=$SECONDS
    until "$self" run "${@:2}"; do
        state=$(tpu describe --format='value(state)' || echo GONE)
        echo "the run has ended on a VM that is $state" >&2
        if [ "$state" = READY ]; then
            if stopped; then
                exit 143
            fi
            tpu ssh --worker=0 --command="$STOP" || true # perhaps only the connection was lost
            [ $((SECONDS - began)) -lt 600 ] || failed=0
            failed=$((failed + 1))
            [ $failed -lt 3 ] || exit 1 # something needs to be fixed
        else
            "$self" delete || true
            "$self" create || true
            "$self" install || true
        fi
        sleep 60
        if stopped; then
            exit 143
        fi
        began=$SECONDS
    done
    "$self" delete
    ;;
*) exec "$self" ;; # prints the commands
esac
