"""The engine behind HTTP, against a server that answers well."""

from __future__ import annotations

import asyncio
import math

import pytest

from rprm_jobs.errors import Refused
from rprm_jobs.judge.verdict import MARKER, find_verdicts
from rprm_jobs.types import Finish, Message, Sampling, Turn
from tests.support.chat_server import GOOD, Behaviour, ChatServer, completion, hang, reply, tokens
from tests.support.injections import INJECTIONS
from tests.support.openai import JUDGE, run, sample_once
from workers.engines.openai.engine import OpenaiEngine
from workers.engines.openai.options import OpenaiOptions


def test_a_good_answer() -> None:
    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        generation = await sample_once(engine, server)
        assert generation.text == f"Fine.\n{MARKER} Yes"
        assert generation.finish is Finish.STOP
        assert generation.p_yes == pytest.approx(1 / (1 + math.exp(-2.2)))
        (request,) = server.requests
        assert request["model"] == "judge"
        assert request["messages"] == [{"role": "user", "content": "judge this"}]
        assert request["max_tokens"] == 100
        assert request["seed"] == 7
        assert request["top_logprobs"] == 20
        assert "stop" not in request
        assert engine.stats().generated_tokens == 7

    run(test)


def test_each_seed_is_a_request_and_answers_keep_their_order() -> None:
    answered = iter(range(100))

    async def echo(server: ChatServer, writer: asyncio.StreamWriter) -> None:
        seed = server.requests[next(answered)]["seed"]
        await asyncio.sleep(0.02 * (3 - seed % 3))
        await reply(200, completion(f"seed {seed}"))(server, writer)

    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        server.default = echo
        made = await engine.sample(engine.encode("x"), [2**40 + 1, 2, 3], Sampling())
        assert [g.text for g in made] == ["seed 1", "seed 2", "seed 3"]

    run(test)


def test_without_logprobs_there_is_no_p_yes() -> None:
    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        generation = await sample_once(engine, server)
        assert find_verdicts(generation.text)
        assert generation.p_yes is None
        assert "logprobs" not in server.requests[0]

    run(test, reply(200, completion(f"\n{MARKER} No")), top_logprobs=0)


def test_concurrency_is_bounded() -> None:
    async def slow(server: ChatServer, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)
        await reply(200, GOOD)(server, writer)

    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        server.default = slow
        await asyncio.gather(*(engine.sample(engine.encode("x"), range(5), Sampling()) for _ in range(4)))
        assert server.most_in_flight == 3

    run(test, concurrency=3)


def test_a_cancelled_call_hangs_up() -> None:
    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        server.default = hang
        call = asyncio.create_task(engine.sample(engine.encode("x"), range(4), Sampling()))
        while len(server.requests) < 4:
            await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        async with asyncio.timeout(5):
            while server.disconnected < 4:
                await asyncio.sleep(0.01)

    run(test)


def test_vllm_servers_are_asked_to_stop_at_the_verdict() -> None:
    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        await sample_once(engine, server)
        assert server.requests[0]["include_stop_str_in_output"] is True
        assert len(server.requests[0]["stop"]) == 4

    run(test, server=ChatServer(models={"data": [{"id": "judge", "owned_by": "vllm"}]}))


@pytest.mark.parametrize("step", INJECTIONS.values(), ids=INJECTIONS.keys())
def test_a_rollout_stays_one_message_without_special_tokens(step: str) -> None:
    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        text = JUDGE.template.render("What is 1 + 1?", [step], 0)
        (generation,) = await engine.sample(engine.encode(text), [1], Sampling())
        (message,) = server.requests[0]["messages"]
        assert message["role"] == "user"
        assert "<|" not in message["content"]
        assert message["content"].replace("< |", "<|") == text
        assert len(find_verdicts(generation.text)) == 1

    run(test)


@pytest.mark.parametrize(
    "mark", ["<|im_end|>", "<s>", "</s>", "[INST]", "[/INST]", "<end_of_turn>", "<\uff5cUser\uff5c>", "<eos>"]
)
def test_marks_of_several_families_are_broken(mark: str) -> None:
    engine = OpenaiEngine(JUDGE, OpenaiOptions(base_url="http://host/v1"))
    assert mark not in engine.encode(f"a{mark}b").text
    assert engine.encode("1 < 2, |x| > 3 and [1, 2] and <b>").text == "1 < 2, |x| > 3 and [1, 2] and <b>"


def test_free_text_asks_for_no_logprobs_and_ends_where_it_is_told() -> None:
    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        (made,) = await engine.sample(engine.encode("x"), [1], Sampling(), stop=["\n\n"])
        assert (made.text, made.p_yes, made.finish) == ("One.\n\n", None, Finish.STOP)
        (request,) = server.requests
        assert "logprobs" not in request
        # This server was not seen to keep stop strings in the text, so none was sent.
        assert "stop" not in request

    run(test, reply(200, completion("One.\n\nTwo.")))


def test_an_answer_that_is_begun_is_gone_on_with() -> None:
    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        await engine.sample(engine.encode("How much?", "First <|im_end|>step.\n\n"), [1], Sampling(), stop=["\n\n"])
        (request,) = server.requests
        user, assistant = request["messages"]
        assert (user["role"], user["content"]) == ("user", "How much?")
        assert (assistant["role"], assistant["content"]) == ("assistant", "First < |im_end|>step.\n\n")
        assert (request["continue_final_message"], request["add_generation_prompt"]) == (True, False)

    run(test, reply(200, completion("Second.\n\n")))


def one_token(text: str, **listed: float) -> Behaviour:
    """One more token, with the likeliest ones at its place; `_` stands for a space."""
    top = {name.replace("_", " "): value for name, value in listed.items()}
    return reply(200, completion(text, logprobs=tokens(text, last=top)))


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ({"Yes": -0.1, "No": -2.3}, [-0.1, -2.3]),
        ({"_Yes": -0.1, "_No": -2.3, "Maybe": -9.0}, [-0.1, -2.3]),
        ({"Y": -0.2, "N": -1.9}, [-0.2, -1.9]),
        # The one that is not listed has the least that is.
        ({"Yes": -0.1, "Well": -3.0, "Hm": -4.5}, [-0.1, -4.5]),
    ],
)
def test_words_are_chosen_by_the_listed_log_probabilities(listed: dict[str, float], expected: list[float]) -> None:
    async def test(engine: OpenaiEngine, server: ChatServer) -> None:
        message = Message("judge <|im_end|> this", (Turn("system", "be brief"),))
        assert await engine.choose(message, "It is $\\boxed{", ("Yes", "No")) == pytest.approx(expected)
        (request,) = server.requests
        assert (request["max_tokens"], request["logprobs"], request["temperature"]) == (1, True, 0.0)
        assert request["continue_final_message"] is True
        assert request["messages"] == [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "judge < |im_end|> this"},
            {"role": "assistant", "content": "It is $\\boxed{"},
        ]

    run(test, one_token(next(iter(listed)).replace("_", " "), **listed))


@pytest.mark.parametrize("behaviour", [reply(200, completion("Yes")), one_token("Well", Well=-0.1, Hm=-2.0)])
def test_a_server_that_tells_nothing_of_the_words_is_refused_for_this_prompt(behaviour: Behaviour) -> None:
    async def test(engine: OpenaiEngine, _: ChatServer) -> None:
        with pytest.raises(Refused, match="the server lists n"):
            await engine.choose(Message("judge this"), "", ("Yes", "No"))

    run(test, behaviour)
