"""Every adapter keeps the promises of `providers.base.Adapter`, whatever language it speaks."""

import json
from typing import Any

import pytest

from app.domain.completion import FinishReason
from app.domain.errors import (
    InvalidRequestError,
    MalformedCompletionError,
    ProviderError,
    ProviderKeyRefusedError,
    ProviderRateLimitedError,
    ProviderRefusedError,
    ProviderUnavailableError,
)
from app.domain.prompt import Message, Params
from app.domain.secret import Secret
from app.domain.states import CallState
from app.domain.wire import Response
from app.providers.base import CallInput, Credential
from app.providers.reading import TOKENS_MAX
from tests.contract.languages import ARGUMENTS, MODEL_SAID, Said
from tests.contract.speakers import BASE_URL, CANARY, NAMES, ONE_EACH, SPEAKERS, Speaker

each_language = pytest.mark.parametrize("speaker", ONE_EACH, ids=lambda one: one.name)


@pytest.fixture(params=NAMES)
def speaker(request: pytest.FixtureRequest) -> Speaker:
    return SPEAKERS[request.param]


def test_a_request_goes_to_the_base_url_whatever_its_last_character(speaker: Speaker) -> None:
    for base_url in (BASE_URL, f"{BASE_URL}/"):
        request = speaker.adapter.build(speaker.call(), speaker.credential(base_url))
        assert (request.method, request.url) == ("POST", BASE_URL + speaker.language.path)


def test_only_one_header_holds_the_key(speaker: Speaker) -> None:
    request = speaker.adapter.build(speaker.call(), speaker.credential())
    holders = [name for name, value in request.headers.items() if CANARY in value]
    assert holders == [speaker.language.header]
    assert CANARY not in repr(request) + request.url + request.body.decode()


def test_without_a_key_there_is_no_header_for_one(speaker: Speaker) -> None:
    request = speaker.adapter.build(speaker.call(), Credential(speaker.adapter.name, BASE_URL))
    assert speaker.language.header not in request.headers


def test_the_attempt_has_a_name(speaker: Speaker) -> None:
    request = speaker.adapter.build(speaker.call(), speaker.credential())
    assert request.headers["x-client-request-id"] == "call_1-2"


@pytest.mark.parametrize("key", ["k\n", "k\r\nx: 1", "“k”", "k\0", "clé"])
def test_k2_what_cannot_be_a_key_is_refused_without_being_shown(speaker: Speaker, key: str) -> None:
    credential = Credential(speaker.adapter.name, BASE_URL, Secret(key))
    for attempt in (
        lambda: speaker.adapter.build(speaker.call(), credential),
        lambda: speaker.adapter.probe(credential),
    ):
        with pytest.raises(ProviderKeyRefusedError) as caught:
            attempt()
        assert key not in str(caught.value)


def test_what_cannot_be_written_is_refused_without_being_shown(speaker: Speaker) -> None:
    messages = [Message("user", "canary \ud800")]
    call = CallInput("call_1", speaker.language.model, messages, Params())
    with pytest.raises(ProviderRefusedError) as caught:
        speaker.adapter.build(call, speaker.credential())
    assert "canary" not in repr(caught.value)
    assert caught.value.__suppress_context__


def test_extra_parameters_are_passed_on_but_never_replace_ours(speaker: Speaker) -> None:
    sent = speaker.sent(
        Params(extra={"verbosity": "low", "messages": [], "contents": [], "input": []})
    )
    assert sent["verbosity"] == "low"
    ours = next(name for name in ("input", "contents", "messages") if sent.get(name))
    assert len(sent[ours]) >= 3


@pytest.mark.parametrize(
    "field", ["model", "messages", "stream", "n", "max_tokens", "temperature", "tools"]
)
def test_extra_cannot_say_what_is_ours_to_say(speaker: Speaker, field: str) -> None:
    with pytest.raises(InvalidRequestError, match=speaker.adapter.name) as caught:
        speaker.adapter.check(Params(extra={"verbosity": 1, field: 1}), speaker.language.model)
    assert caught.value.param == f"extra.{field}"


def test_a_probe_buys_nothing(speaker: Speaker) -> None:
    request = speaker.adapter.probe(speaker.credential())
    assert (request.method, request.body) == ("GET", b"")
    assert request.url.removeprefix(BASE_URL) in speaker.language.probe
    assert [name for name, value in request.headers.items() if CANARY in value] == [
        speaker.language.header
    ]


def test_an_answer_is_read_in_our_words(speaker: Speaker) -> None:
    said = Said(thoughts="One and one.", written=10 if speaker.language.writes_cache else 0)
    body = speaker.language.answer(said)
    ours = speaker.read(body, x_request_id="req_1")
    assert (ours.text, ours.reasoning, ours.tool_calls) == (said.text, said.thoughts, None)
    assert (ours.finish_reason, ours.state) == (FinishReason.STOP, CallState.SUCCEEDED)
    usage = ours.usage
    assert (usage.input_tokens, usage.output_tokens) == (said.input, said.output)
    assert (usage.cache_read_tokens, usage.cache_write_tokens) == (said.cached, said.written)
    assert (usage.reasoning_tokens, usage.estimated) == (said.reasoning, False)
    assert json.loads(ours.usage_raw or "") == speaker.language.usage_in(body)
    assert (ours.request_id, ours.flags) == ("req_1", ())


def test_p15_the_model_that_answered_is_recorded_as_it_names_itself(speaker: Speaker) -> None:
    assert speaker.read(speaker.language.answer(Said())).model_returned == MODEL_SAID


def test_without_a_request_id_the_answers_own_is_kept(speaker: Speaker) -> None:
    assert speaker.read(speaker.language.answer(Said())).request_id == "answer_1"


SUCCEEDED, REFUSED = CallState.SUCCEEDED, CallState.REFUSED


@pytest.mark.parametrize(
    ("said", "expected", "state", "flags"),
    [
        (Said(), FinishReason.STOP, SUCCEEDED, ""),
        (Said("Tw", "length"), FinishReason.LENGTH, SUCCEEDED, ""),
        (Said("", "length"), FinishReason.LENGTH, SUCCEEDED, "empty"),
        (Said("", "stop"), FinishReason.STOP, SUCCEEDED, "empty"),
        (Said("", "tool", tool="f"), FinishReason.TOOL_CALLS, SUCCEEDED, ""),
        (Said("So:", "tool", tool="f"), FinishReason.TOOL_CALLS, SUCCEEDED, ""),
        (Said("", "withheld"), FinishReason.CONTENT_FILTER, REFUSED, "empty"),
        (Said("Tw", "withheld"), FinishReason.CONTENT_FILTER, REFUSED, ""),
        (Said("", "refused", refusal="I won't."), FinishReason.REFUSAL, REFUSED, ""),
    ],
    ids=str,
)
def test_p12_every_way_to_end_is_told_apart(
    speaker: Speaker, said: Said, expected: FinishReason, state: CallState, flags: str
) -> None:
    if said.ends not in speaker.language.ends:
        return  # its vendor knows no such end
    ours = speaker.read(speaker.language.answer(said))
    assert (ours.finish_reason, ours.state) == (expected, state)
    assert ours.text == (said.text or said.refusal)
    assert [flag for flag in ours.flags if "blocked" not in flag] == flags.split()
    if said.tool:
        [call] = ours.tool_calls or []
        assert (call["id"], call["type"], call["function"]["name"]) == ("t1", "function", "f")
        assert json.loads(call["function"]["arguments"]) == ARGUMENTS


def test_p7_a_success_without_an_answer_is_malformed(speaker: Speaker) -> None:
    language = speaker.language
    error_inside = {"error": {"message": f"upstream failed with {CANARY}"}}
    cases: list[tuple[object, str]] = [
        (b"", "empty_body"),
        (b"<html><body>502 Bad Gateway</body></html>", "not_json"),
        (b'{"choices": [', "not_json"),
        (error_inside, "error_in_success"),
        *((body, language.no_answer) for body in (None, [], "x", 7, *language.nothing)),
    ]
    for body, reason in cases:
        error = speaker.failure(body, x_request_id="req_1")
        assert isinstance(error, MalformedCompletionError)
        assert (error.reason, error.status_code, error.request_id) == (reason, 200, "req_1")


JUNK = [None, "12", -5, 10**18, 10**40, True, 12.5, [], {}]


@each_language
@pytest.mark.parametrize("junk", JUNK, ids=str)
def test_p14_usage_that_cannot_be_is_estimated_and_flagged(speaker: Speaker, junk: object) -> None:
    body = speaker.language.answer(Said(cached=0, reasoning=0))
    for field in speaker.language.usage:
        speaker.language.usage_in(body)[field] = junk
    ours = speaker.read(body)
    assert ours.usage.estimated
    assert ours.flags[-1] == "usage_estimated"
    assert 0 < ours.usage.input_tokens < 10_000
    assert 0 < ours.usage.output_tokens < 100


@each_language
@pytest.mark.parametrize("junk", JUNK, ids=str)
def test_p14_so_is_usage_that_is_no_object(speaker: Speaker, junk: object) -> None:
    body = speaker.language.answer(Said())
    body["usage" if "usage" in body else "usageMetadata"] = junk
    assert speaker.read(body).usage.estimated


@each_language
@pytest.mark.parametrize("part", [-1, "5", 10**18, True, None, TOKENS_MAX])
def test_p14_a_part_is_never_more_than_its_whole(speaker: Speaker, part: object) -> None:
    body = speaker.language.answer(Said())
    _overwrite(speaker.language.usage_in(body), part, keep=speaker.language.usage)
    usage = speaker.read(body).usage
    assert 0 <= usage.cache_read_tokens + usage.cache_write_tokens <= usage.input_tokens
    assert 0 <= usage.reasoning_tokens <= usage.output_tokens


def _overwrite(usage: Any, value: object, keep: tuple[str, ...]) -> None:
    for name, held in usage.items():
        if isinstance(held, dict):
            _overwrite(held, value, keep)
        elif name not in keep:
            usage[name] = value


@each_language
def test_p13_an_answer_no_store_takes_is_mended_and_flagged(speaker: Speaker) -> None:
    body = speaker.language.answer(Said("a@b", thoughts="@", tool="f", ends="tool"))
    for bad in ("\\u0000", "\\ud800"):
        ours = speaker.read(json.dumps(body).replace("@", bad).encode())
        assert ours.text == "a\ufffdb"
        assert ours.reasoning == "\ufffd"
        assert "sanitised" in ours.flags


@each_language
def test_p13_so_is_an_answer_that_is_not_even_utf8(speaker: Speaker) -> None:
    body = json.dumps(speaker.language.answer(Said("caf@"))).encode().replace(b"@", b"\xe9")
    ours = speaker.read(body)
    assert ours.text == "caf\ufffd"
    assert "sanitised" in ours.flags


@each_language
def test_p13_a_text_of_ten_megabytes_is_kept(speaker: Speaker) -> None:
    assert len(speaker.read(speaker.language.answer(Said("x" * 10_000_000))).text) == 10_000_000


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ProviderRefusedError),
        (401, ProviderKeyRefusedError),
        (404, ProviderRefusedError),
        (429, ProviderRateLimitedError),
        (500, ProviderUnavailableError),
        (529, ProviderUnavailableError),
        (302, ProviderRefusedError),
    ],
)
def test_p3_an_error_is_told_by_its_status_whatever_its_body(
    speaker: Speaker, status: int, kind: type[ProviderError]
) -> None:
    bodies: list[object] = [
        b"",
        b"<html>nginx</html>",
        b"\xff\xfe",
        speaker.language.error(f"No, {CANARY}."),
        speaker.language.error({"nested": CANARY}),
        {"error": f"No, {CANARY}."},
        {"error": [CANARY]},
        {"error": {"message": CANARY, "details": CANARY, "status": 7, "type": [], "code": {}}},
        {"object": "error", "message": f"No, {CANARY}.", "code": 40001},
        {"detail": [{"loc": ["body"], "msg": f"No, {CANARY}."}]},
        [f"No, {CANARY}."],
        [],
        7,
    ]
    for body in bodies:
        error = speaker.failure(body, status)
        assert type(error) is kind
        assert error.status_code == status


def test_a_refused_key_is_told_from_a_vendor_in_trouble_whatever_was_asked(
    speaker: Speaker,
) -> None:
    errors = {
        status: speaker.adapter.failure(Response(status, {}, b""), speaker.credential())
        for status in (401, 403, 404, 503)
    }
    refused = [one for one in errors if isinstance(errors[one], ProviderKeyRefusedError)]
    assert refused == [401, 403]


def test_p1_a_wait_that_the_headers_name_is_kept(speaker: Speaker) -> None:
    error = speaker.failure(b"", 429, retry_after="7")
    assert isinstance(error, ProviderRateLimitedError)
    assert (error.reason, error.retry_after_s) == ("rate_limited", 7)
