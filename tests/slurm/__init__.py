"""The workflow on a real Slurm, with real faults: `make test-slurm`."""
