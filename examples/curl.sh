#!/usr/bin/env bash
# Train and serve with nothing but `docker run` and `curl`.
#
#   examples/curl.sh TRAIN TEST [FEATURE_DIM]
#
# TRAIN and TEST are recordIO-protobuf files, as write_spmatrix_to_sparse_tensor writes them; rows
# have FEATURE_DIM features (2625, the lab's).
set -euo pipefail

train=${1:?a recordIO-protobuf file to train on} test=${2:?one to test on} dim=${3:-2625}
image=factorization-machines:latest
port=${PORT:-8080}

ml=$(mktemp -d) # becomes /opt/ml
trap 'docker rm -f fm-example >/dev/null 2>&1 || true; rm -rf "$ml"' EXIT
mkdir -p "$ml"/input/config "$ml"/input/data/{train,test} "$ml"/{model,output}
cp "$train" "$ml/input/data/train/"
cp "$test" "$ml/input/data/test/"
cat >"$ml/input/config/hyperparameters.json" <<END
{"feature_dim": "$dim", "num_factors": "64", "predictor_type": "binary_classifier", "epochs": "10"}
END

docker run --rm --user "$(id -u):$(id -g)" -v "$ml:/opt/ml" $image train | grep '#test_score'

docker run -d --name fm-example -p "127.0.0.1:$port:8080" -v "$ml/model:/opt/ml/model:ro" $image serve >/dev/null
curl -sf --retry 30 --retry-delay 1 --retry-all-errors "http://127.0.0.1:$port/ping"

curl -sS "http://127.0.0.1:$port/invocations" -H 'Content-Type: application/json' \
    -d '{"instances": [{"data": {"features": {"keys": [0, 1], "shape": ['"$dim"'], "values": [1, 1]}}}]}'
echo
