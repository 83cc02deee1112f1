#!/usr/bin/env bash
# Trains on a Cloud TPU VM of any number of hosts, and makes a new one when it is taken away.
#
#   export NAME=facades ZONE=us-central2-b TYPE=v4-8 WORKDIR=gs://BUCKET/runs/facades
#   experiments/launch/tpu_vm.sh create     # a spot VM: cheap, and may be taken away at any time
#   experiments/launch/tpu_vm.sh install    # what is committed here, and JAX for TPU, on all hosts
#   experiments/launch/tpu_vm.sh train      # to the end, in the background; the same goes on
#   experiments/launch/tpu_vm.sh watch      # what the first host says; Ctrl-C stops only watching
#   experiments/launch/tpu_vm.sh run        # as train, but here until it ends
#   experiments/launch/tpu_vm.sh stop       # finishes the step and saves; ends `keep`, too
#   experiments/launch/tpu_vm.sh delete
#   experiments/launch/tpu_vm.sh keep       # all of these in turn, and again, until the run is done
#
# Flags after `train`, `run` or `keep` are those of the run; the default trains the paper's facades.
set -euo pipefail
self=$(realpath "$0")
cd "$(dirname "$self")/../.."

if [ $# = 0 ]; then
    sed -n '2,/^set/s/^# \{0,1\}//p' "$self"
    exit 2
fi
: "${NAME:?is the name of the VM}" "${ZONE:?is like us-central2-b}" "${TYPE:?is like v4-8}"
: "${WORKDIR:?is like gs://BUCKET/runs/facades, a bucket in the region of the VM}"
VERSION=${VERSION:-tpu-ubuntu2204-base} # v2-alpha-tpuv5-lite and the like for later TPUs

tpu() { gcloud compute tpus tpu-vm "$1" "$NAME" --zone="$ZONE" "${@:2}"; }
everywhere() { tpu ssh --worker=all --command="$1"; }

# A batch is that of all chips together, and a multiple of their number.
run=(--config=experiments/facades.py --config.data.batch_size=8 --workdir="$WORKDIR"
    --config.data.data_dir="${WORKDIR%/*}/data")

STOP='pkill -TERM -f "[p]ix2pix_jax train"' # on one host, and all stop

stopped() { tpu ssh --worker=0 --command='test -e pix2pix_jax/stopped'; }

# Words as another shell reads them.
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
    "$self" create || true # it may be there
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
            tpu ssh --worker=0 --command="$STOP" || true # the connection alone may have been lost
            [ $((SECONDS - began)) -lt 600 ] || failed=0
            failed=$((failed + 1))
            [ $failed -lt 3 ] || exit 1 # there is something to mend
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
*) exec "$self" ;; # says what there is
esac
