# Written by envs/make_environment.py from uv.lock; not to be edited.
set -eu
python -m pip install --no-deps mediapipe==0.10.21
