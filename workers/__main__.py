"""`python -m workers --judge NAME`: what `rprm-jobs worker` starts. Servers come from the environment."""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace

from rprm_jobs.errors import ConfigError, RprmError
from rprm_jobs.judge.policy import resolve_policy, search_queue
from rprm_jobs.judge.resolve import resolve_judge
from rprm_jobs.logs import set_up_logs
from rprm_jobs.settings import load_settings
from workers.engines import create_engine, create_writer
from workers.engines.options import parse_engine_args
from workers.process import ProcessOptions, Serving, run_worker
from workers.signals import Signals

_PR_SET_PDEATHSIG = 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workers", description=__doc__)
    parser.add_argument("--judge")
    parser.add_argument("--family", help="NAME or NAME,KEY=VALUE,... [recognised]")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--engine-arg", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--policy")
    parser.add_argument("--policy-engine", default="auto")
    parser.add_argument("--policy-engine-arg", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--shards-in-flight", type=int, default=4)
    parser.add_argument("--critiques-in-flight", type=int, default=512)
    parser.add_argument("--log-level", default="INFO")
    parser.add_argument("--log-format", help="text or json [RPRM_LOG_FORMAT, else text]")
    parser.add_argument("--metrics-port", type=int, help="serve /metrics there [RPRM_METRICS_PORT, else nowhere]")
    parser.add_argument("--log-file", help="where the log goes, for those who ask; this program writes to stderr")
    parser.add_argument("--exit-with-parent", action="store_true")
    return parser


def _exit_with_parent() -> None:
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        raise SystemExit(0)


def _serving(args: argparse.Namespace) -> Serving:
    """The queue of the judge, of the policy, or of searches when both are named."""
    judge = resolve_judge(args.judge, args.family) if args.judge else None
    engine = create_engine(args.engine, judge, parse_engine_args(args.engine_arg)) if judge else None
    if args.policy is None:
        if judge is None or engine is None:
            raise ConfigError("a worker needs a model to serve", hint="name one: --judge NAME, or --policy NAME")
        return Serving(judge.queue, judge.name, engine)
    policy = resolve_policy(args.policy)
    policy_engine = create_writer(args.policy_engine, policy.model, parse_engine_args(args.policy_engine_arg))
    if judge is None or engine is None:
        return Serving(policy.model.queue, policy.model.name, policy_engine)
    return Serving(search_queue(policy, judge), f"{policy.model.name}+{judge.name}", engine, policy_engine)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, load the model, serve. An error that the user can correct is one message without a traceback."""
    args = _parser().parse_args(argv)
    signals = Signals()
    if args.exit_with_parent:
        _exit_with_parent()
    try:
        settings = load_settings()
        settings = replace(
            settings,
            log_format=args.log_format or settings.log_format,
            metrics_port=args.metrics_port or settings.metrics_port,
        )
        set_up_logs(args.log_level, settings.log_format)
        if args.shards_in_flight < 1 or args.critiques_in_flight < 1:
            raise ConfigError("--shards-in-flight and --critiques-in-flight must be at least 1", hint="e.g. 4 and 512")
        options = ProcessOptions(args.shards_in_flight, args.critiques_in_flight, args.log_file)
        return run_worker(settings, _serving(args), options, signals)
    except RprmError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
