#!/bin/bash
# Subjects in batches: one array of jobs, and no Snakemake that waits on the login node.
#
#     array=$(sbatch --parsable --array=1-40 profiles/slurm/batch.sh --of 40 --configfile my.yaml)
#     sbatch --dependency=afterany:"$array" profiles/slurm/batch.sh --configfile my.yaml
#
# Each task of the first is a run of its own, of every 40th subject. The second, without `--of`, is
# a run of all: it makes what is made of all subjects, and whatever a task has not made.

#SBATCH --job-name=cmed
#SBATCH --cpus-per-task=4
#SBATCH --mem=12G
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

batches=
if [[ ${1-} == --of ]]; then
  : "${SLURM_ARRAY_TASK_ID:?is not set: --of belongs to sbatch --array=1-${2-N}}"
  batches=$2
  shift 2
fi
for word in "$@"; do
  if [[ $word == --config || $word == -C ]]; then
    echo "batch.sh: give what is configured by --configfile, not by $word" >&2
    exit 2
  fi
done

# As much at once as fits into what the job has asked for, by node or by processor.
cores=${SLURM_CPUS_PER_TASK:-1}
memory_mb=${SLURM_MEM_PER_NODE:-${SLURM_MEM_PER_CPU:+$((SLURM_MEM_PER_CPU * cores))}}
# The tasks share the folder, not a subject; the workflow's own locks see to that.
exec snakemake --cores "$cores" ${memory_mb:+--resources mem_mb="$memory_mb"} \
  ${batches:+--nolock --config batch="$SLURM_ARRAY_TASK_ID/$batches"} --retries 2 "$@"
