# The worker's image: vLLM on an NVIDIA GPU. The same image migrates the database and runs the command line.
FROM python:3.12-slim

# Triton compiles its launchers with the machine's C compiler when a model is loaded.
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
# A named volume takes its owner from the folder it covers.
RUN useradd --create-home --uid 10001 rprm && install --directory --owner=rprm --mode=0755 /models
WORKDIR /app
COPY pyproject.toml README.md LICENSE ./
COPY rprm_jobs rprm_jobs
COPY workers workers
COPY training training
COPY migrations migrations
COPY examples examples
# vLLM brings the torch build that it was compiled for, so torch is not pinned here.
RUN pip install --no-cache-dir '.[vllm,hub,serve,metrics]'

USER rprm
ENV HF_HOME=/models RPRM_HOME=/home/rprm/data
ENTRYPOINT ["rprm-jobs"]
CMD ["--help"]
