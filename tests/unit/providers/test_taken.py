"""Tables of what is taken: how they are read, and what becomes of what is not."""

import msgspec
import pytest

from app.domain.errors import InvalidRequestError
from app.domain.prompt import ImagePart, ImageUrl, Message, Params, TextPart
from app.providers import registry
from app.providers.openai_models import CHAT, RESPONSES
from app.providers.taken import FORMATS, SAMPLING, Images, Table, Taken, check_params, image_data

PNG = "data:image/png;base64,iVBORw0KGgo="
URL = "https://example.com/a.png"


def prompt(url: str, role: str = "user") -> list[Message]:
    image = ImagePart(ImageUrl(url))
    return [
        Message("user", "Look."),
        msgspec.structs.replace(Message("user", [TextPart("x"), image]), role=role),
    ]


def test_the_first_family_whose_beginning_fits_is_the_models() -> None:
    new, old, other = Taken(stops_max=1), Taken(stops_max=2), Taken(stops_max=3)
    table = Table(other, [("m-5.5", new), ("m-5", old)])
    assert [table.of(name) for name in ("m-5.5-mini", "M-5", "m-5.2", "m", "x")] == [
        *(new, old, old, other, other)
    ]


@pytest.mark.parametrize("table", [CHAT, RESPONSES])
def test_no_family_hides_behind_an_earlier_one(table: Table) -> None:
    prefixes = [prefix for prefix, _ in table._families]
    hidden = [
        later
        for place, later in enumerate(prefixes)
        if any(later.startswith(earlier) for earlier in prefixes[:place])
    ]
    assert hidden == []


def test_what_is_taken_is_sent_as_it_is() -> None:
    params = Params(temperature=0.5, top_p=0.5, stop=["a"], response_format={"type": "text"})
    assert Taken().fitted(params) is params


@pytest.mark.parametrize(
    ("taken", "params", "fitted"),
    [
        (Taken(refused=SAMPLING), Params(temperature=1.0, max_tokens=5), Params(max_tokens=5)),
        (Taken(temperature_max=1.0), Params(temperature=1.3), Params(temperature=1.0)),
        (
            Taken(one_sampler=True),
            Params(temperature=0.5, top_p=0.5),
            Params(top_p=0.5),
        ),
        (
            Taken(thinks=True, refused_thinking=SAMPLING),
            Params(temperature=0.5, seed=1),
            Params(seed=1),
        ),
        (
            Taken(thinks=True, refused_thinking=SAMPLING),
            Params(temperature=0.5, reasoning_effort="none"),
            Params(temperature=0.5, reasoning_effort="none"),
        ),
        (
            Taken(formats=FORMATS - {"json_schema"}),
            Params(response_format={"type": "json_schema"}),
            Params(response_format={"type": "json_object"}),
        ),
        (
            Taken(formats=frozenset({"text"})),
            Params(response_format={"type": "json_schema"}),
            Params(),
        ),
        (
            Taken(formats=None),
            Params(response_format={"type": "grammar"}),
            Params(response_format={"type": "grammar"}),
        ),
    ],
)
def test_what_a_mode_asks_for_and_a_model_does_not_take_is_not_sent(
    taken: Taken, params: Params, fitted: Params
) -> None:
    assert taken.fitted(params) == fitted


def test_temperature_or_top_p_may_be_one_choice() -> None:
    with pytest.raises(InvalidRequestError, match="not both") as caught:
        check_params("v", Taken(one_sampler=True), Params(temperature=0.5, top_p=0.5), "m")
    assert caught.value.param == "top_p"


@pytest.mark.parametrize(
    ("uri", "data"),
    [
        (PNG, ("image/png", "iVBORw0KGgo=")),
        ("data:image/JPEG;charset=x;base64,AA", ("image/jpeg", "AA")),
        ("data:image/png,AA", None),
        ("data:text/plain;base64,AA", None),
        (URL, None),
        ("data:image/png;base64", None),
    ],
)
def test_a_data_uri_is_read(uri: str, data: tuple[str, str] | None) -> None:
    assert image_data(uri) == data


TAKERS = ["openai", "anthropic", "groq", "mistral", "openrouter", "together", "xai", "qwen", "zai"]


@pytest.mark.parametrize("provider", TAKERS)
@pytest.mark.parametrize("url", [PNG, URL])
def test_images_go_where_they_are_taken(provider: str, url: str) -> None:
    registry.adapter_for(provider).check_prompt(prompt(url), "some-model")


@pytest.mark.parametrize(
    ("provider", "model", "url", "why"),
    [
        ("google", "gemini-3.5-flash", URL, "does not fetch"),
        ("moonshot", "kimi-k2.5", URL, "does not fetch"),
        ("deepseek", "deepseek-chat", PNG, "no images"),
        ("openai", "gpt-4o", "http://example.com/a.png", "https://"),
        ("openai", "gpt-5-pro", "file:///etc/passwd", "https://"),
        ("openai", "gpt-4o", "data:text/html;base64,AA", "https://"),
        ("google", "gemini-3.5-flash", "gs://bucket/a.png", "does not fetch"),
        ("anthropic", "claude-opus-5", "data:image/tiff;base64,AA", "image/png"),
    ],
)
def test_others_are_refused_with_the_part_at_fault(
    provider: str, model: str, url: str, why: str
) -> None:
    with pytest.raises(InvalidRequestError, match=provider) as caught:
        registry.adapter_for(provider).check_prompt(prompt(url), model)
    assert why in caught.value.message
    assert caught.value.param == "messages[1].content[1].image_url.url"
    assert "passwd" not in caught.value.message


def test_a_server_of_ones_own_may_fetch_whatever_it_can_reach() -> None:
    adapter = registry.adapter_for("custom:local")
    for url in (PNG, URL, "http://10.0.0.1/a.png", "file:///a.png"):
        adapter.check_prompt(prompt(url), "m")


@pytest.mark.parametrize("provider", ["anthropic", "google"])
def test_a_system_message_has_no_image_where_it_is_a_field_of_text(provider: str) -> None:
    with pytest.raises(InvalidRequestError, match="system message") as caught:
        registry.adapter_for(provider).check_prompt(prompt(PNG, "system"), "some-model")
    assert caught.value.param == "messages[1].content"


def test_where_nothing_is_known_anything_may_be_taken() -> None:
    unknown = Params(temperature=2.0, seed=1, stop=["a"] * 16, response_format={"type": "grammar"})
    registry.adapter_for("custom:local").check(unknown, "m")
    assert Taken().images is Images.URLS
