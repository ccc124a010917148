"""One small row of every format that is read, made by hand in the shape that its tool writes."""

from __future__ import annotations

import json
from typing import Any

TAG = "\u043a\u0438"
SOLUTION = "One.\n\nTwo."
_USER = {"role": "user", "content": "P?"}
_ASSISTANT = {"role": "assistant", "content": SOLUTION}
_CHATML = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nP?<|im_end|>\n<|im_start|>assistant\n"

# What each row is read as: (id, steps, label, step_labels) of its solutions. The problem is P? in all of them.
_PLAIN = [("x:1", ["One.", "Two."], None, None)]
Expected = list[tuple[str, list[str], int | None, list[int | None] | None]]


def _batch(custom_id: str, **response: Any) -> dict[str, Any]:
    return {"id": "batch_req_1", "custom_id": custom_id, "error": None, **response}


SAMPLES: dict[str, list[tuple[dict[str, Any], Expected]]] = {
    "rprm": [
        ({"id": "a", "problem": "P?", "steps": ["One.", "Two."], "label": 1}, [("a", ["One.", "Two."], 1, None)]),
        ({"question": "P?", "response": SOLUTION}, _PLAIN),
    ],
    "verl": [
        (
            {
                "input": "system\nBe brief.\nuser\nP?\nassistant\n",
                "output": SOLUTION,
                "gts": "4",
                "score": 1.0,
                "step": 3,
                "uid": "u",
            },
            [("u#0", ["One.", "Two."], None, None)],
        ),
        ({"input": "P?", "output": SOLUTION, "gts": None, "score": 0, "step": 3, "acc": True}, _PLAIN),
    ],
    "openrlhf": [({"input": "P?", "output": SOLUTION}, _PLAIN)],
    "verifiers": [
        (
            {
                "example_id": 0,
                "prompt": [{"role": "system", "content": "s"}, _USER],
                "completion": [_ASSISTANT],
                "answer": "4",
                "info": {},
                "reward": 1.0,
                "error": None,
                "metrics": {},
                "is_truncated": False,
            },
            [("0#0", ["One.", "Two."], None, None)],
        ),
        (
            {"example_id": 0, "prompt": "P?", "completion": SOLUTION, "reward": 0.0, "task": "math"},
            [("0#0", ["One.", "Two."], None, None)],
        ),
        ({"example_id": 0, "prompt": [_USER], "completion": None, "reward": 0.0, "error": {"error": "x"}}, []),
    ],
    "prime-rl": [
        (
            {
                "id": "e",
                "env": {"name": "math"},
                "task": {"type": "T", "data": {"prompt": "P?", "answer": "4"}},
                "ok": True,
                "errors": [],
                "traces": [
                    {
                        "id": "t",
                        "rewards": {"correct": {"score": 1.0}},
                        "ok": True,
                        "nodes": [
                            {"message": {"role": "system", "content": "s"}, "sampled": False},
                            {"parent": 0, "message": _USER, "sampled": False},
                            {"parent": 1, "message": {"role": "assistant", "content": "Older."}, "sampled": True},
                            {"parent": 1, "message": _ASSISTANT, "sampled": True},
                        ],
                    }
                ],
            },
            [("e", ["One.", "Two."], None, None)],
        ),
        ({"id": "e", "task": {"data": {}}, "ok": False, "errors": [{"type": "x"}], "traces": []}, []),
    ],
    "prime-rl-updates": [({"version": 1, "trace_id": "t", "info": {"train": {"effective": True}}, "branches": []}, [])],
    "verifiers-traces": [
        (
            {
                "version": 1,
                "id": "t",
                "task": {"type": "GSM8KTask", "data": {"idx": 3, "prompt": "P?", "answer": "4"}},
                "agent": {"config": {"model": "m"}, "name": "agent", "trainable": True},
                "nodes": [
                    {"message": {"role": "system", "content": "s"}, "sampled": False, "token_ids": [], "mask": []},
                    {"parent": 0, "message": _USER, "sampled": False},
                    {"parent": 1, "message": _ASSISTANT, "sampled": True, "finish_reason": "stop"},
                ],
                "calls": [{"node": 2, "model": "m", "finish_reason": "stop"}],
                "rewards": {"correct": {"score": 1.0, "weight": 1.0}},
                "metrics": {"turns": 1.0},
                "info": {},
            },
            [("t", ["One.", "Two."], None, None)],
        ),
        ({"version": 1, "id": "t", "task": {"type": "T", "data": {}}, "nodes": [], "errors": [{"type": "x"}]}, []),
    ],
    "trl": [
        ({"step": 1, "prompt": "P?", "completion": SOLUTION, "accuracy_reward": 1.0, "advantage": 0.5}, _PLAIN),
        ({"step": "1", "prompt": [_USER], "completion": [_ASSISTANT], "solution": "a reference"}, _PLAIN),
    ],
    "trl-stepwise": [
        (
            {"prompt": "P?", "completions": ["One.", "Two."], "labels": [True, False]},
            [("x:1", ["One.", "Two."], None, [1, -1])],
        ),
        (
            {"prompt": "P?", "completions": ["One.", "Two."], "labels": [1.0, 0.0]},
            [("x:1", ["One.", "Two."], None, [1, -1])],
        ),
    ],
    "chat": [
        ({"messages": [{"role": "system", "content": "s"}, _USER, _ASSISTANT]}, _PLAIN),
        (
            {"id": 7, "conversations": [{"from": "human", "value": "P?"}, {"from": "gpt", "value": SOLUTION}]},
            [("7", ["One.", "Two."], None, None)],
        ),
    ],
    "ms-swift": [
        (
            {
                "step": ["5", "5"],
                "prompt": [_CHATML, _CHATML],
                "completion": [SOLUTION, "Three.<|im_end|>"],
                "MathAccuracy": [1.0, 0.0],
                "advantages": [0.7, -0.7],
            },
            [("x:1#0", ["One.", "Two."], None, None), ("x:1#1", ["Three."], None, None)],
        )
    ],
    "skyrl": [
        (
            {
                "input_prompt": _CHATML,
                "output_response": SOLUTION + "<|im_end|>",
                "score": [0.0, 1.0],
                "stop_reason": "stop",
                "env_class": "gsm8k",
                "env_extras": {"reward_model": {"ground_truth": "4"}},
                "data_source": "gsm8k",
            },
            _PLAIN,
        )
    ],
    "skyrl-metrics": [({"eval/gsm8k/avg_score": 0.5, "eval/all/avg_score": 0.5, "eval/all/pass_at_1": 0.5}, [])],
    "areal": [
        (
            {
                "task_id": "t",
                "sample_idx": 2,
                "seqlen": 9,
                "prompt_len": 3,
                "head_version": 1,
                "tail_version": 1,
                "reward": 1.0,
                "prompt": _CHATML,
                "completion": SOLUTION + "<|im_end|>",
            },
            [("t#2", ["One.", "Two."], None, None)],
        )
    ],
    "nemo-gym-failures": [
        (
            {
                "responses_create_params": {"input": "P?"},
                "response": {"output": []},
                "_ng_task_index": 3,
                "_ng_rollout_index": 0,
                "_ng_failure_class": "timeout",
            },
            [],
        )
    ],
    "nemo-gym": [
        (
            {
                "responses_create_params": {"input": [{**_USER, "type": "message"}]},
                "reward": 1.0,
                "expected_answer": "4",
                "response": {
                    "id": "r",
                    "model": "m",
                    "output": [
                        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
                        {
                            "type": "message",
                            "role": "assistant",
                            "content": [{"type": "output_text", "text": SOLUTION}],
                        },
                    ],
                },
                "_ng_task_index": 3,
                "_ng_rollout_index": 1,
            },
            [("3#1", ["One.", "Two."], None, None)],
        ),
        ({"responses_create_params": {"input": "P?"}, "response": {"output": []}, "reward": 0.0}, []),
    ],
    "nemo-skills": [
        (
            {
                "problem": "P?",
                "generation": SOLUTION,
                "expected_answer": "4",
                "predicted_answer": "4",
                "solution": "a reference",
                "symbolic_correct": True,
                "finish_reason": "stop",
            },
            _PLAIN,
        ),
        ({"problem": "P?", "generation": SOLUTION, "_full_generation": f"<think>\nHm.\n</think>{SOLUTION}"}, _PLAIN),
    ],
    "lm-eval": [
        (
            {
                "doc_id": 5,
                "doc": {"question": "P?", "answer": "4"},
                "target": "4",
                "arguments": [["Q: P?", {}]],
                "resps": [[SOLUTION]],
                "filtered_resps": ["4"],
                "filter": "strict-match",
                "metrics": ["exact_match"],
                "doc_hash": "h",
                "exact_match": 1.0,
            },
            [("5", ["One.", "Two."], None, None)],
        ),
        (
            {
                "doc_id": 5,
                "doc": {"text": "x"},
                "target": "4",
                "arguments": {"gen_args_0": {"arg_0": "P?", "arg_1": {}}},
                "resps": [[SOLUTION, "Three."]],
                "filter": "none",
            },
            [("5#0", ["One.", "Two."], None, None), ("5#1", ["Three."], None, None)],
        ),
        (
            {
                "doc_id": 5,
                "doc": {"text": "x"},
                "arguments": {"gen_args_0": {"arg_0": [json.dumps([{"role": "system", "content": "s"}, _USER])]}},
                "resps": [[SOLUTION]],
                "filter": "none",
            },
            [("5", ["One.", "Two."], None, None)],
        ),
    ],
    "openai-batch": [
        (
            _batch(
                "c",
                response={
                    "status_code": 200,
                    "request_id": "r",
                    "body": {"model": "m", "choices": [{"index": 0, "finish_reason": "stop", "message": _ASSISTANT}]},
                },
            ),
            [("c", ["One.", "Two."], None, None)],
        ),
        (
            _batch("c", response={"status_code": 200, "body": {"choices": [{"text": SOLUTION}, {"text": "Three."}]}}),
            [("c#0", ["One.", "Two."], None, None), ("c#1", ["Three."], None, None)],
        ),
        (
            _batch(
                "c",
                response={
                    "status_code": 200,
                    "body": {
                        "status": "completed",
                        "output": [
                            {"type": "reasoning", "summary": []},
                            {"type": "message", "content": [{"type": "output_text", "text": SOLUTION}]},
                        ],
                    },
                },
            ),
            [("c", ["One.", "Two."], None, None)],
        ),
        (_batch("c", response=None) | {"error": {"code": "x", "message": "y"}}, []),
        (_batch("c", response={"status_code": 429, "body": {}}), []),
        (_batch("c", response={"body": {"choices": [{"message": {"content": None}, "finish_reason": "length"}]}}), []),
    ],
    "datatrove": [
        (
            {
                "text": "P?",
                "id": "d",
                "media": [],
                "metadata": {
                    "url": "u",
                    "rollout_results": [
                        {"text": SOLUTION, "finish_reason": "stop", "usage": {}, "reasoning": "Hm."},
                        {"text": "Three."},
                    ],
                },
            },
            [("d#0", ["One.", "Two."], None, None), ("d#1", ["Three."], None, None)],
        ),
        (
            {
                "text": "P?",
                "id": "d",
                "metadata": {"inference_results": [{"text": SOLUTION, "finish_reason": "stop", "usage": {}}]},
            },
            [("d", ["One.", "Two."], None, None)],
        ),
        ({"text": "P?", "id": "d", "metadata": {"inference_results": [{"error": "Got BadRequestError"}]}}, []),
    ],
    "distilabel": [
        ({"instruction": "P?", "generation": SOLUTION, "model_name": "m", "distilabel_metadata": {}}, _PLAIN),
        ({"messages": [{"role": "user", "content": "P?"}], "generation": SOLUTION, "model_name": "m"}, _PLAIN),
        (
            {"id": "d", "instruction": "P?", "generation": [SOLUTION, None, "Three."], "model_name": ["m"] * 3},
            [("d#0", ["One.", "Two."], None, None), ("d#2", ["Three."], None, None)],
        ),
        ({"instruction": "P?", "generation": None, "distilabel_metadata": {"raw": None}}, []),
        # OpenR1-Math: beside the generations stands a reference.
        ({"problem": "P?", "solution": "a reference", "generations": [SOLUTION], "messages": [_USER]}, _PLAIN),
    ],
    "math-shepherd": [
        (
            {
                "input": f"P? Step 1: One. {TAG}\nStep 2: Two. {TAG}",
                "label": "P? Step 1: One. +\nStep 2: Two. -",
                "task": "GSM8K",
            },
            [("x:1", ["Step 1: One.", "Step 2: Two."], None, [1, -1])],
        ),
        (
            {"input": f"P? Step 1: One. {TAG}\nStep 2: Two. {TAG}", "value": ["+", "-"]},
            [("x:1", ["Step 1: One.", "Step 2: Two."], None, [1, -1])],
        ),
    ],
    "rlhflow": [
        (
            {
                "conversations": [
                    {"role": "user", "content": "P? Step 1: One."},
                    {"role": "assistant", "content": "+"},
                    {"role": "user", "content": "Step 2: Two."},
                    {"role": "assistant", "content": "-"},
                ]
            },
            [("x:1", ["Step 1: One.", "Step 2: Two."], None, [1, -1])],
        )
    ],
    "genprm": [
        (
            {
                "conversations": [
                    {"role": "system", "content": "You are a math teacher."},
                    {"role": "user", "content": "Question: P?\n\nOne."},
                    {"role": "assistant", "content": "<analyze>\nx\n</analyze>\n<output>\n$\\boxed{Yes}$\n</output>"},
                    {"role": "user", "content": "Two."},
                    {"role": "assistant", "content": "<analyze>\nx\n</analyze>\n<output>\n$\\boxed{No}$\n</output>"},
                ]
            },
            [("x:1", ["One.", "Two."], None, [1, -1])],
        )
    ],
    "thinkprm": [
        (
            {
                "problem": "P?",
                "prefix": "Step 1: One.\nStep 2: Two.",
                "cot": "x",
                "prefix_steps": ["One.", "Two."],
                "gt_step_labels": ["+", "-"],
            },
            [("x:1", ["One.", "Two."], None, [1, -1])],
        )
    ],
    "deltabench": [
        (
            {
                "id": "d",
                "question": "P?",
                "answer": "4",
                "sections_content": "section1: One.\nsection2: Two.\nsection3: T",
                "reason_error_section_numbers": [2],
                "reason_unuseful_section_numbers": "[2, 3]",
            },
            [("d", ["One.", "Two.", "T"], 1, [1, -1, -1])],
        ),
        (
            {
                "question": "P?",
                "sections": [{"content": "One.", "start": 0, "end": 1}, {"section": "Two."}],
                "sections_content": "section1: One.\n\nsection2: Two.\nsection7: is quoted here",
                "reason_error_section_numbers": "[ ]",
                "reason_unuseful_section_numbers": None,
            },
            [("x:1", ["One.", "Two."], -1, [1, 1])],
        ),
    ],
    "versaprm": [
        (
            {
                "id": "v",
                "question": "P?",
                "answer": "A",
                "chain_of_thoughts": [
                    {"cot_id": "0", "steps": ["One.", "Two."], "labels": [1, -1], "augs": []},
                    {"cot_id": "1", "steps": ["Three."], "labels": None, "augs": []},
                ],
            },
            [("v#0", ["One.", "Two."], None, [1, -1]), ("v#1", ["Three."], None, None)],
        )
    ],
    "prmbench": [
        (
            {
                "idx": "deception_prm_test_p1_3",
                "classification": "deception",
                "original_question": "O",
                "modified_question": "P?",
                "original_process": ["One."],
                "modified_process": ["One.", ""],
                "error_steps": [2],
                "reason": "r",
            },
            [("deception_prm_test_p1_3", ["One.", ""], 1, [1, -1])],
        )
    ],
    "processbench": [
        (
            {
                "id": "gsm8k-0",
                "generator": "g",
                "problem": "P?",
                "steps": ["One.", "Two."],
                "final_answer_correct": False,
                "label": 1,
            },
            [("gsm8k-0", ["One.", "Two."], 1, None)],
        )
    ],
    "prm800k": [
        (
            {
                "labeler": "aaaaaaaa-b",
                "timestamp": "2022-11-11T10:00:00",
                "generation": 1,
                "question": {"problem": "P?", "ground_truth_answer": "4"},
                "label": {
                    "finish_reason": "found_error",
                    "steps": [
                        {
                            "completions": [{"text": "One.", "rating": 1}],
                            "chosen_completion": 0,
                            "human_completion": None,
                        },
                        {"completions": [{"text": "Two.", "rating": -1}], "chosen_completion": None},
                    ],
                },
            },
            [("2022-11-11T10:00:00/aaaaaaaa", ["One.", "Two."], None, [1, -1])],
        )
    ],
    "visualprocessbench": [
        ({"image": "a.png", "question": "P?", "response": {"steps": ["One."], "process_correctness": [1]}}, [])
    ],
}
